import CPostgres

/// What another session said to a channel with NOTIFY.
public struct PostgresNotification: Sendable, Equatable {
  public let channel: String
  public let payload: String
  /// Of the server's process that the other session has.
  public let processID: Int32

  public init(channel: String, payload: String, processID: Int32) {
    self.channel = channel
    self.payload = payload
    self.processID = processID
  }
}

extension PostgresConnection {
  /// Listens to a channel (LISTEN, the name quoted by PQescapeIdentifier), from the end of the transaction, if one is open.
  public func listen(_ channel: String) throws(PostgresError) {
    try script("LISTEN \(quoted(channel))")
  }

  /// Ends `listen`. What has come before is still delivered.
  public func unlisten(_ channel: String) throws(PostgresError) {
    try script("UNLISTEN \(quoted(channel))")
  }

  /// Waits for a notification (PQnotifies, PQconsumeInput, poll on PQsocket), also for one that came with the answer to another
  /// statement.
  ///
  /// Waiting keeps the connection's thread: statements from elsewhere wait with it. Cancelling the task ends it at once.
  ///
  /// - Returns: the oldest that was not returned yet; nil if none came in time
  /// - Throws: `PostgresError`; `CancellationError`
  public func nextNotification(timeout: Duration) async throws -> PostgresNotification? {
    let wakeUp = try WakeUp()
    return try await withTaskCancellationHandler {
      try nextNotification(timeout: timeout, orUntil: wakeUp)
    } onCancel: {
      wakeUp.signal()
    }
  }

  private func nextNotification(
    timeout: Duration, orUntil wakeUp: WakeUp
  ) throws -> PostgresNotification? {
    // Some years, which an instant can be moved by without overflow.
    let deadline = ContinuousClock.now + max(.zero, min(timeout, .seconds(1 << 28)))
    while true {
      try Task.checkCancellation()
      guard unsafe PQconsumeInput(handle.pointer) == 1 else {
        throw unsafe PostgresError.connection(Self.message(PQerrorMessage(handle.pointer)))
      }
      if let notification = received() { return notification }
      guard ContinuousClock.now < deadline else { return nil }
      unsafe Readiness.wait(PQsocket(handle.pointer), for: .input, until: deadline, orUntil: wakeUp)
    }
  }

  private func received() -> PostgresNotification? {
    guard let notify = unsafe PQnotifies(handle.pointer) else { return nil }
    defer { unsafe PQfreemem(notify) }
    return unsafe PostgresNotification(
      channel: String(cString: notify.pointee.relname),
      payload: String(cString: notify.pointee.extra), processID: notify.pointee.be_pid)
  }
}
