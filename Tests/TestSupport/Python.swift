import Foundation

/// Runs a script of Tests/Differential with the interpreter named by TEST_PYTHON (default: the checkout's .venv).
public enum Python {
  public struct Failure: Error, CustomStringConvertible {
    public let description: String
  }

  /// The checkout's folder.
  public static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path

  public static var interpreter: String {
    ProcessInfo.processInfo.environment["TEST_PYTHON"] ?? root + "/.venv/bin/python"
  }

  /// The lines that the script prints.
  /// - Parameter stdin: lines that it reads.
  public static func lines(
    _ script: String, _ arguments: [String] = [], stdin: [String] = []
  ) throws -> [String] {
    guard FileManager.default.isExecutableFile(atPath: interpreter) else {
      throw Failure(
        description:
          "no Python at \(interpreter): run scripts/test, or set TEST_PYTHON to one with "
          + "devnet/requirements.txt installed")
    }
    // A file, not a pipe: neither side waits for the other.
    let input = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try Data(stdin.map { $0 + "\n" }.joined().utf8).write(to: input)
    defer { try? FileManager.default.removeItem(at: input) }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: interpreter)
    process.arguments = [root + "/Tests/Differential/" + script] + arguments
    let output = Pipe()
    process.standardInput = try FileHandle(forReadingFrom: input)
    process.standardOutput = output
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw Failure(description: "\(script) exited \(process.terminationStatus)")
    }
    return String(decoding: data, as: UTF8.self).split(separator: "\n").map(String.init)
  }
}
