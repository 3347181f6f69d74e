import Foundation
import Service

/// Asks the person at the terminal for a secret, without showing what is typed.
enum Terminal {
  struct Interrupted: Error, CustomStringConvertible {
    let description = "interrupted; nothing was done"
  }

  /// Bytes of an answer.
  private static let limit = 1024

  static var isPresent: Bool { isatty(STDIN_FILENO) == 1 }

  /// Reads a line from stdin, which must be a terminal. The prompt goes to stderr.
  static func ask(_ prompt: String) throws -> Secret {
    var usual = termios()
    guard tcgetattr(STDIN_FILENO, &usual) == 0 else { throw Interrupted() }
    var silent = usual
    // Keys come one by one, so that every one of them, Ctrl-C too, is read here and the terminal is always put back.
    silent.c_lflag &= ~tcflag_t(ECHO | ICANON | ISIG)
    guard tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) == 0 else { throw Interrupted() }
    defer {
      tcsetattr(STDIN_FILENO, TCSAFLUSH, &usual)
      show("\n")
    }
    show(prompt)
    return try Secret(capacity: limit) { try line(into: $0) }
  }

  private static func line(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    var count = 0
    while true {
      var key: UInt8 = 0
      let got = read(STDIN_FILENO, &key, 1)
      if got < 0, errno == EINTR { continue }
      guard got == 1 else { throw Interrupted() }
      switch key {
      case UInt8(ascii: "\n"), UInt8(ascii: "\r"):
        return count
      case 0x03, 0x04, 0x1a, 0x1c:  // Ctrl-C, Ctrl-D, Ctrl-Z, Ctrl-\
        throw Interrupted()
      case 0x08, 0x7f:  // Backspace takes a whole UTF-8 character.
        while count > 0 {
          count -= 1
          if buffer[count] & 0xc0 != 0x80 { break }
        }
      case 0x15:  // Ctrl-U
        count = 0
      default:
        guard count < buffer.count else { throw Interrupted() }
        buffer[count] = key
        count += 1
      }
    }
  }

  private static func show(_ text: String) {
    Program.hint(text)
  }
}
