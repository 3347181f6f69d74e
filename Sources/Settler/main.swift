import Foundation

/// The clock of the machine.
struct SystemClock: SettlerClock {
  func nowMs() -> Int64 { Int64(Date().timeIntervalSince1970 * 1_000) }
  func sleep(ms: Int64) async throws { try await Task.sleep(for: .milliseconds(ms)) }
}

func note(_ line: String) {
  FileHandle.standardError.write(Data((line + "\n").utf8))
}

do {
  let program = SettlerProgram(
    arguments: try Arguments(
      Array(CommandLine.arguments.dropFirst()),
      environment: ProcessInfo.processInfo.environment),
    clock: SystemClock(),
    say: { line in FileHandle.standardOutput.write(Data((line + "\n").utf8)) },
    log: { line in note("settler: \(line)") })
  exit(try await program.main().rawValue)
} catch let error as UsageError {
  note("settler: \(error); settler --help shows the commands")
  exit(SettlerProgram.ExitCode.usage.rawValue)
} catch {
  note("settler: \(error)")
  exit(SettlerProgram.ExitCode.failed.rawValue)
}
