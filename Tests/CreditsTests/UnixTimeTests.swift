import Credits
import Foundation
import Testing

@Suite struct UnixTimeTests {
  /// Foundation's calendar is another implementation.
  @Test func `seconds are written as RFC 3339`() {
    var seconds: [UInt64] = [0, 951_782_400, 951_868_799, 4_107_542_400, 253_402_300_799]
    seconds += stride(from: 0, to: 8_000_000_000, by: 86_400 * 13 + 12_345).map { UInt64($0) }
    for second in seconds {
      let date = Date(timeIntervalSince1970: TimeInterval(second))
      #expect(UnixTime.text(second) == date.ISO8601Format())
    }
    #expect(UnixTime.text(951_782_400) == "2000-02-29T00:00:00Z")
    #expect(UnixTime.text(253_402_300_800) == "253402300800")
    #expect(UnixTime.text(.max) == "18446744073709551615")
  }
}
