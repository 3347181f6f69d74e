import Foundation

/// How a program ends.
public enum ExitCode: Int32, Sendable {
  case done = 0
  /// Failed, halted, or a difference was found.
  case failed = 1
  /// Wrong usage.
  case usage = 2
  /// Time is up; safe to run again.
  case notYet = 3
}

/// Wrong usage: what was wrong, and what to do. Exit code 2.
public struct UsageError: Error, Equatable, Sendable, CustomStringConvertible {
  public let description: String

  public init(_ description: String) {
    self.description = description
  }
}

public enum Program {
  /// Runs a program's work and ends the process: an error becomes one line on stderr and an exit code.
  public static func run(
    _ name: String,
    _ work: (_ arguments: [String], _ environment: [String: String]) async throws
      -> ExitCode
  ) async -> Never {
    // A reader that goes away (`| head`) is an error of a write, not the end of the process.
    signal(SIGPIPE, SIG_IGN)
    do {
      let code = try await work(
        Array(CommandLine.arguments.dropFirst()), ProcessInfo.processInfo.environment)
      exit(code.rawValue)
    } catch let error as UsageError {
      note("\(name): \(error); \(name) --help shows the commands")
      exit(ExitCode.usage.rawValue)
    } catch {
      note("\(name): \(error)")
      exit(ExitCode.failed.rawValue)
    }
  }

  /// One line on stdout: facts.
  public static func say(_ line: String) {
    FileHandle.standardOutput.write(Data((line + "\n").utf8))
  }

  /// One line on stderr: diagnostics and progress.
  public static func note(_ line: String) {
    FileHandle.standardError.write(Data((line + "\n").utf8))
  }
}
