import Foundation

/// What every program does around its work: its end, and its two streams.
public enum Program {
  /// Runs a program's work and ends the process: an error becomes one line on stderr and an exit code.
  public static func run(
    _ name: String,
    _ work: (_ arguments: [String], _ environment: [String: String]) async throws
      -> ExitCode
  ) async -> Never {
    // A reader that goes away (`| head`) is an error of a write, not a signal.
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

  /// Facts on stdout. Where they cannot be written the process ends with exit code 1: nobody may take silence for success.
  public static func say(_ line: String) {
    guard let reason = write(line.withoutControls + "\n", to: STDOUT_FILENO) else { return }
    note("cannot write to stdout: \(reason)")
    exit(ExitCode.failed.rawValue)
  }

  /// Diagnostics on stderr. A full disk under a log file must not stop the work, so what cannot be written is lost.
  public static func note(_ line: String) {
    _ = write(line.withoutControls + "\n", to: STDERR_FILENO)
  }

  /// Bytes as they are, control sequences too, on stderr.
  public static func draw(_ text: String) {
    _ = write(text, to: STDERR_FILENO)
  }

  /// write(2) to the end; not FileHandle's, which ends the process when a disk is full or a pipe closed.
  ///
  /// - Returns: why not all of it was written
  private static func write(_ text: String, to descriptor: Int32) -> String? {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes {
        unsafe Foundation.write(descriptor, $0.baseAddress, $0.count)
      }
      if count >= 0 {
        rest = rest.dropFirst(count)
      } else if errno == EAGAIN {
        // A terminal or pipe that another process has set to non-blocking.
        var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        unsafe poll(&ready, 1, -1)
      } else if errno != EINTR {
        return unsafe String(cString: strerror(errno))
      }
    }
    return nil
  }

  /// Otherwise the first socket would get the number of a closed stdout, and facts would be written to the database server.
  /// Opened the wrong way round, so that using them is still an error (gnulib, stdopen.c).
  private static func occupyStandardDescriptors() {
    for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO]
    where fcntl(descriptor, F_GETFD) == -1 {
      _ = unsafe open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
  }
}
