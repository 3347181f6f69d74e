import Foundation

/// Files of Tests/Fixtures.
public enum Fixtures {
  /// The lines of a text file, without empty ones and those that begin with `#`.
  public static func lines(_ name: String) throws -> [String] {
    try String(contentsOfFile: Python.root + "/Tests/Fixtures/" + name, encoding: .utf8)
      .split(separator: "\n").filter { !$0.hasPrefix("#") }.map(String.init)
  }
}
