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
}
