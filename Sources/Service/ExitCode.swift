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
