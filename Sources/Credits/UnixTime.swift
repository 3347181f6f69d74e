/// Unix seconds as people read them.
public enum UnixTime {
  /// RFC 3339 in UTC, `2026-01-31T12:00:00Z`; from the year 10000 on, which it cannot write, the number.
  ///
  /// The day is counted from 1 March of the year 0, so that a leap day is the last of its year (H. Hinnant, “chrono-Compatible
  /// Low-Level Date Algorithms”, civil_from_days).
  public static func text(_ seconds: UInt64) -> String {
    guard seconds < 253_402_300_800 else { return "\(seconds)" }
    let days = seconds / 86_400 + 719_468
    let (era, day) = days.quotientAndRemainder(dividingBy: 146_097)
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365
    let dayOfYear = day - (365 * year + year / 4 - year / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    let date = [
      padded(era * 400 + year + (month <= 2 ? 1 : 0), to: 4), padded(month, to: 2),
      padded(dayOfYear - (153 * shifted + 2) / 5 + 1, to: 2),
    ]
    let time = [seconds % 86_400 / 3_600, seconds % 3_600 / 60, seconds % 60]
    return date.joined(separator: "-") + "T"
      + time.map { padded($0, to: 2) }.joined(separator: ":") + "Z"
  }

  private static func padded(_ number: UInt64, to digits: Int) -> String {
    let text = "\(number)"
    return String(repeating: "0", count: max(0, digits - text.count)) + text
  }
}
