import Service
import Testing

@Suite struct RFC3339Tests {
  @Test(arguments: [
    ("2026-01-31T12:00:00Z", true), ("2024-02-29T00:00:00.123456+15:59", true),
    ("2023-02-29T00:00:00Z", false),
    ("2026-13-01T00:00:00Z", false), ("2026-01-31T24:00:00Z", false),
    ("2026-01-31T12:00:60Z", false),
    ("0000-01-01T00:00:00Z", false), ("2026-01-31 12:00:00Z", false),
    ("2026-01-31T12:00:00", false),
    ("2026-01-31T12:00:00+16:00", false), ("2026-01-31T12:00:00Zx", false), ("infinity", false),
    ("now", false),
  ])
  func `a time is RFC 3339 and exists`(text: String, isValid: Bool) {
    #expect(RFC3339.isValid(text) == isValid)
  }
}
