import CPostgres

/// What the server says without being asked: RAISE NOTICE, warnings, and an error that ends an idle session.
public struct PostgresNotice: Sendable, Equatable {
  public enum Severity: String, Sendable {
    case debug = "DEBUG"
    case log = "LOG"
    case info = "INFO"
    case notice = "NOTICE"
    case warning = "WARNING"
    case error = "ERROR"
    case fatal = "FATAL"
    case panic = "PANIC"
  }

  public let severity: Severity
  /// Nil for what libpq itself says.
  public let sqlState: String?
  public let message: String
  public let detail: String?
  public let hint: String?

  public init(
    severity: Severity, sqlState: String?, message: String, detail: String? = nil,
    hint: String? = nil
  ) {
    self.severity = severity
    self.sqlState = sqlState
    self.message = message
    self.detail = detail
    self.hint = hint
  }

  public typealias Handler = @Sendable (PostgresNotice) -> Void
}

/// Gives a connection's notices to a handler (PQsetNoticeReceiver). libpq has only its address: whoever owns the connection
/// keeps it for longer.
final class NoticeReceiver: Sendable {
  private let handler: PostgresNotice.Handler

  init(_ handler: @escaping PostgresNotice.Handler) {
    self.handler = handler
  }

  func receive(from connection: OpaquePointer) {
    unsafe PQsetNoticeReceiver(
      connection,
      { address, result in
        guard let address = unsafe address else { return }
        unsafe Unmanaged<NoticeReceiver>.fromOpaque(address).takeUnretainedValue().received(result)
      }, unsafe Unmanaged.passUnretained(self).toOpaque())
  }

  /// The result stays libpq's.
  private func received(_ result: OpaquePointer?) {
    func field(_ field: PostgresAnswer.Field) -> String? {
      unsafe PostgresAnswer.field(field, of: result)
    }
    handler(
      PostgresNotice(
        // A severity that is not known here must not be lost.
        severity: field(.severity).flatMap { PostgresNotice.Severity(rawValue: $0) } ?? .warning,
        sqlState: field(.sqlState), message: field(.message) ?? "no message",
        detail: field(.detail), hint: field(.hint)))
  }
}
