/// Times of RFC 3339, section 5.6, as far as PostgreSQL's timestamptz takes them.
public enum RFC3339 {
  /// True for `2026-01-31T12:00:00.5+01:00`, a day that exists, years 0001 to 9999. No leap second: timestamptz has none.
  public static func isValid(_ text: String) -> Bool {
    var rest = Array(text.utf8)[...]
    guard
      let year = number(&rest, digits: 4), take(&rest, "-"), let month = number(&rest, digits: 2),
      take(&rest, "-"),
      let day = number(&rest, digits: 2), take(&rest, "T") || take(&rest, "t"),
      let hour = number(&rest, digits: 2),
      take(&rest, ":"), let minute = number(&rest, digits: 2), take(&rest, ":"),
      let second = number(&rest, digits: 2)
    else { return false }
    if take(&rest, ".") {
      let fraction = rest.prefix { isDigit($0) }
      guard (1...9).contains(fraction.count) else { return false }
      rest = rest.dropFirst(fraction.count)
    }
    guard year >= 1, (1...12).contains(month), (1...days(in: month, year)).contains(day), hour < 24,
      minute < 60, second < 60
    else { return false }
    if take(&rest, "Z") || take(&rest, "z") { return rest.isEmpty }
    guard
      take(&rest, "+") || take(&rest, "-"), let hours = number(&rest, digits: 2), take(&rest, ":"),
      let minutes = number(&rest, digits: 2)
    else { return false }
    // PostgreSQL refuses a zone beyond 15:59.
    return rest.isEmpty && hours < 16 && minutes < 60
  }

  private static func days(in month: Int, _ year: Int) -> Int {
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    return [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  private static func number(_ rest: inout ArraySlice<UInt8>, digits: Int) -> Int? {
    let part = rest.prefix(digits)
    guard part.count == digits, part.allSatisfy({ isDigit($0) }) else { return nil }
    rest = rest.dropFirst(digits)
    return part.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
  }

  private static func take(_ rest: inout ArraySlice<UInt8>, _ character: Unicode.Scalar) -> Bool {
    guard rest.first == UInt8(ascii: character) else { return false }
    rest = rest.dropFirst()
    return true
  }
}
