import Foundation

/// The built programs, run as processes.
public enum Products {
  public struct Output: Sendable {
    public let code: Int32
    public let stdout: String
    public let stderr: String
  }

  /// Beside the test bundle.
  public static func path(_ name: String) -> String {
    let bundle = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
    for folder in [
      bundle.deletingLastPathComponent(), URL(fileURLWithPath: Python.root + "/.build/debug"),
    ] {
      let candidate = folder.appendingPathComponent(name).path
      if FileManager.default.isExecutableFile(atPath: candidate) { return candidate }
    }
    return Python.root + "/.build/debug/" + name
  }

  /// Runs a program to its end.
  public static func run(
    _ name: String, _ arguments: [String], environment: [String: String] = [:], stdin: String = ""
  ) async throws -> Output {
    try await execute(path(name), arguments, environment: environment, stdin: stdin)
  }

  /// Runs a script with bash, the programs on its PATH.
  public static func shell(
    _ script: String, environment: [String: String]
  ) async throws -> Output {
    let programs = URL(fileURLWithPath: path("indexer")).deletingLastPathComponent().path
    let old = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
    return try await execute(
      "/bin/bash", ["-c", script],
      environment: environment.merging(["PATH": "\(programs):\(old)"]) { $1 }, stdin: "")
  }

  private static func execute(
    _ executable: String, _ arguments: [String], environment: [String: String], stdin: String
  ) async throws -> Output {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread {
        continuation.resume(
          with: Result {
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
              UUID().uuidString)
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            let files = ["in", "out", "err"].map { folder.appendingPathComponent($0) }
            try Data(stdin.utf8).write(to: files[0])
            for file in files[1...] { try Data().write(to: file) }
            let process = Process()
            process.executableURL = URL(fileURLWithPath: executable)
            process.arguments = arguments
            process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
            process.standardInput = try FileHandle(forReadingFrom: files[0])
            process.standardOutput = try FileHandle(forWritingTo: files[1])
            process.standardError = try FileHandle(forWritingTo: files[2])
            try process.run()
            process.waitUntilExit()
            return Output(
              code: process.terminationStatus,
              stdout: try String(contentsOf: files[1], encoding: .utf8),
              stderr: try String(contentsOf: files[2], encoding: .utf8))
          })
      }
    }
  }
}
