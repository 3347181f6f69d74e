import Foundation
import Service

/// Where a keystore's password comes from: a file, a descriptor, or the person at the terminal. Never the command line or the
/// environment, which other processes can read.
struct PasswordSource {
  private enum Place: Equatable {
    case file(String)
    case descriptor(Int32)
    case terminal
  }

  /// Bytes.
  private static let limit = 1024
  private let place: Place

  init(_ arguments: Arguments) throws(UsageError) {
    switch (arguments.optional("password-file"), arguments.optional("password-fd")) {
    case (nil, nil): place = .terminal
    case (let path?, nil): place = .file(path)
    case (nil, let text?):
      // Not shown: it may be a password, given where it does not belong.
      guard let descriptor = Int32(text), descriptor >= 0 else {
        throw UsageError("--password-fd takes the number of an open descriptor, like 3")
      }
      place = .descriptor(descriptor)
    case (_?, _?): throw UsageError("--password-file and --password-fd are two sources; give one")
    }
  }

  var isStandardInput: Bool { place == .descriptor(STDIN_FILENO) }

  /// The password that opens a file.
  func password(for path: String) throws -> Secret {
    switch place {
    case .file(let path): try Self.read(path)
    case .descriptor(let descriptor): try Self.read(descriptor)
    case .terminal: try Self.ask("Password of \(path): ")
    }
  }

  /// The password for a new file: typed twice at a terminal, and not empty.
  func newPassword(for path: String) throws -> Secret {
    let password = try password(for: path)
    guard password.count > 0 else {
      throw UsageError("the password is empty; such a keystore protects nothing")
    }
    if place == .terminal {
      guard try Self.ask("The same once more: ").isSame(as: password) else {
        throw UsageError("the two passwords differ; nothing was written")
      }
    }
    return password
  }

  private static func read(_ path: String) throws -> Secret {
    let file = try SecretFile.read(path, atMost: limit)
    guard !file.isOpenToOthers else { throw SecretFileError.tooOpen(path, mode: file.octalMode) }
    return file.bytes.withoutLineEnd()
  }

  private static func read(_ descriptor: Int32) throws -> Secret {
    do {
      return try Secret(reading: descriptor, atMost: limit).withoutLineEnd()
    } catch {
      throw UsageError("no password from --password-fd \(descriptor): \(error)")
    }
  }

  private static func ask(_ prompt: String) throws -> Secret {
    guard Terminal.isPresent else {
      throw UsageError(
        "a password is needed and there is no terminal to ask; give --password-file FILE or --password-fd N"
      )
    }
    return try Terminal.ask(prompt)
  }
}
