import Foundation

/// A node's JSON-RPC address. It shows itself without what may be a secret: user, path and query.
public struct Endpoint: Sendable, Hashable, CustomStringConvertible {
  public let url: URL

  public struct InvalidURL: Error, Sendable, CustomStringConvertible {
    public let description =
      "RPC_URL and SEND_URL hold http:// or https:// addresses, separated by commas"
  }

  public init(_ text: some StringProtocol) throws(InvalidURL) {
    guard let url = URL(string: String(text)), let scheme = url.scheme?.lowercased(),
      scheme == "http" || scheme == "https", url.host != nil
    else { throw InvalidURL() }
    self.url = url
  }

  /// A comma-separated list, at least one.
  public static func list(_ text: String) throws(InvalidURL) -> [Endpoint] {
    var endpoints: [Endpoint] = []
    for part in text.split(separator: ",") {
      endpoints.append(try Endpoint(part.trimmingCharacters(in: .whitespaces)))
    }
    guard !endpoints.isEmpty else { throw InvalidURL() }
    return endpoints
  }

  public var description: String {
    let port = url.port.map { ":\($0)" } ?? ""
    return "\(url.scheme ?? "")://\(url.host ?? "")\(port)"
  }

  /// What an endpoint said, fit to be shown: nodes repeat keys in their error texts ("project id … is over its limit"), and
  /// hostile ones send control characters for a terminal or a log, or megabytes.
  func withoutSecrets(_ text: String) -> String {
    var shown = String(
      text.unicodeScalars.prefix(500).map { Self.isControl($0) ? " " : Character($0) })
    for secret in secrets { shown = shown.replacing(secret, with: "…") }
    return shown
  }

  private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator: true
    default: false
    }
  }

  /// User, password, parts of the path and values of the query; shorter ones are words like "v2", not keys.
  private var secrets: [String] {
    guard let parts = URLComponents(url: url, resolvingAgainstBaseURL: false) else { return [] }
    var secrets = [
      parts.user, parts.password, parts.percentEncodedUser, parts.percentEncodedPassword,
    ]
    .compactMap { $0 }
    for path in [parts.path, parts.percentEncodedPath] {
      secrets += path.split(separator: "/").map(String.init)
    }
    for query in [parts.query, parts.percentEncodedQuery].compactMap({ $0 }) {
      secrets += query.split { $0 == "&" || $0 == "=" }.map(String.init)
    }
    return secrets.filter { $0.utf8.count >= 4 }.sorted { $0.utf8.count > $1.utf8.count }
  }
}
