import Foundation
import TestSupport
import Testing

/// `docs/flow.md` names what is there.
@Suite struct FlowTests {
  @Test func `every file, table and function that the flow names exists`() async throws {
    let text = try String(contentsOfFile: Python.root + "/docs/flow.md", encoding: .utf8)
    let rows = text.split(separator: "\n").filter { $0.hasPrefix("|") }.dropFirst(2)
      .map { $0.split(separator: "|").map { names(in: String($0)) } }
    #expect(rows.count > 20)
    try await TestDatabase.with { database in
      let db = try await database.connect()
      for row in rows {
        try #require(row.count == 5, "\(row)")
        for table in row[1] {
          let found = try await db.one(
            "SELECT to_regclass('credits.' || quote_ident($1)) IS NOT NULL AS there", [.text(table)]
          )
          #expect(try found.bool("there"), "table \(table)")
        }
        for function in row[2] {
          let found = try await db.one(
            "SELECT EXISTS (SELECT FROM pg_proc WHERE pronamespace = 'credits'::regnamespace AND proname = $1) AS there",
            [.text(function)])
          #expect(try found.bool("there"), "function \(function)")
        }
        for file in row[3] + row[4] {
          #expect(FileManager.default.fileExists(atPath: Python.root + "/" + file), "\(file)")
        }
      }
    }
  }

  /// What stands between back-ticks.
  private func names(in cell: String) -> [String] {
    let parts = cell.components(separatedBy: "`")
    return parts.indices.filter { $0 % 2 == 1 }.map { parts[$0] }
  }
}
