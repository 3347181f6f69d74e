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
    occupyStandardDescriptors()
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

  /// One line on stdout: facts. Facts that nobody gets are a failure: the process ends with exit code 1.
  public static func say(_ line: String) {
    if let problem = write(line + "\n", to: STDOUT_FILENO) {
      note("cannot write to stdout: \(problem)")
      exit(ExitCode.failed.rawValue)
    }
  }

  /// One line on stderr: diagnostics and progress. Work goes on where nobody can be told.
  public static func note(_ line: String) { hint(line + "\n") }

  /// Text on stderr as it is: a line of progress that is written over, a question.
  public static func hint(_ text: String) { _ = write(text, to: STDERR_FILENO) }

  /// `write(2)` until all is written; otherwise why it is not. (`FileHandle.write` would trap.)
  private static func write(_ text: String, to descriptor: Int32) -> String? {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
      if count >= 0 {
        rest = rest.dropFirst(count)
      } else if errno == EAGAIN {
        // A terminal or pipe that another process has set to non-blocking.
        var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        poll(&ready, 1, -1)
      } else if errno != EINTR {
        return String(cString: strerror(errno))
      }
    }
    return nil
  }

  /// Otherwise the first socket would get the number of a closed stdout, and facts would be written to the database server.
  /// Opened the wrong way round, so that using them is still an error (gnulib, stdopen.c).
  private static func occupyStandardDescriptors() {
    for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO]
    where fcntl(descriptor, F_GETFD) == -1 {
      _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
  }
}
