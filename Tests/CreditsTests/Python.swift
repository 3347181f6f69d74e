import Foundation

/// Runs a script of `Tests/Differential` with the interpreter that `TEST_PYTHON` names (default: the
/// package's `.venv`), feeds it lines and returns the lines it prints. Throws when it cannot be run or
/// fails: a differential test is never skipped in silence.
func python(_ script: String, _ arguments: [String] = [], lines: [String]) throws -> [String] {
  let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
  let interpreter =
    ProcessInfo.processInfo.environment["TEST_PYTHON"]
    ?? root.appending(path: ".venv/bin/python").path
  let folder = FileManager.default.temporaryDirectory.appending(
    path: "credits-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  let (input, output) = (folder.appending(path: "in"), folder.appending(path: "out"))
  try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: input)
  try Data().write(to: output)

  let process = Process()
  process.executableURL = URL(filePath: interpreter)
  process.arguments =
    [root.appending(path: "Tests/Differential/\(script)").path] + arguments
  process.standardInput = try FileHandle(forReadingFrom: input)
  process.standardOutput = try FileHandle(forWritingTo: output)
  do {
    try process.run()
  } catch {
    throw PythonFailure(
      description: "cannot run \(interpreter) (\(error)); set TEST_PYTHON to a Python with the"
        + " packages of devnet/requirements.txt")
  }
  process.waitUntilExit()
  guard process.terminationStatus == 0 else {
    throw PythonFailure(
      description: "\(interpreter) \(script) exited with \(process.terminationStatus)")
  }
  return String(decoding: try Data(contentsOf: output), as: UTF8.self)
    .split(separator: "\n").map(String.init)
}

struct PythonFailure: Error, CustomStringConvertible {
  let description: String
}

extension Sequence where Element == UInt8 {
  var hex: String {
    map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
  }
}

/// The bytes of hex digits; no bytes for anything else.
func bytes(_ hex: String) -> [UInt8] {
  let digits = Array(hex)
  return stride(from: 0, to: digits.count - 1, by: 2).compactMap {
    UInt8(String(digits[$0...$0 + 1]), radix: 16)
  }
}
