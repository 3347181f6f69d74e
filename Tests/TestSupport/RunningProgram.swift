import Foundation
import Synchronization

/// A process that goes on while the test does: a service, or a program that is going to be killed.
public final class RunningProgram: Sendable {
  private let process: Process
  private let ended = Mutex<Int32?>(nil)
  /// What it wrote to stdout and stderr.
  public let output: URL
  public let pid: pid_t

  private init(_ process: Process, output: URL) {
    self.process = process
    self.output = output
    pid = process.processIdentifier
  }

  /// - Parameter output: a file that both streams are appended to.
  public static func start(
    _ executable: String, _ arguments: [String], environment: [String: String], output: URL
  ) async throws -> RunningProgram {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread {
        // A child inherits its parent thread's signal mask, and the threads of the cooperative pool block SIGTERM.
        var none = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, nil)
        continuation.resume(
          with: Result {
            if !FileManager.default.fileExists(atPath: output.path) { try Data().write(to: output) }
            let file = try FileHandle(forWritingTo: output)
            try file.seekToEnd()
            let process = Process()
            process.executableURL = URL(fileURLWithPath: executable)
            process.arguments = arguments
            process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
            process.standardInput = FileHandle.nullDevice
            process.standardOutput = file
            process.standardError = file
            try process.run()
            return RunningProgram(process, output: output)
          })
      }
    }
  }

  /// The exit code; minus the signal's number when a signal ended it.
  @discardableResult
  public func wait() async -> Int32 {
    await withCheckedContinuation { continuation in
      Thread.detachNewThread { [self] in
        let code = ended.withLock { known -> Int32 in
          if let known { return known }
          process.waitUntilExit()
          let status = process.terminationStatus
          let code = process.terminationReason == .uncaughtSignal ? -status : status
          known = code
          return code
        }
        continuation.resume(returning: code)
      }
    }
  }

  public var isRunning: Bool { process.isRunning }

  /// Sends a signal and waits for the end.
  @discardableResult
  public func end(_ signal: Int32 = SIGTERM) async -> Int32 {
    // A number that was reaped may be another process's by now.
    if isRunning { kill(pid, signal) }
    return await wait()
  }

  /// What it wrote so far.
  public var text: String {
    (try? String(contentsOf: output, encoding: .utf8)) ?? ""
  }
}
