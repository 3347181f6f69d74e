import CPostgres
import Foundation

/// A statement with its parameters, to be sent together with others.
public struct PostgresStatement: Sendable, Equatable {
  public let sql: String
  public let parameters: [PostgresValue]

  public init(_ sql: String, _ parameters: [PostgresValue] = []) {
    self.sql = sql
    self.parameters = parameters
  }
}

extension PostgresConnection {
  /// Runs several statements in one round trip and returns the rows of each, in their order (PQenterPipelineMode,
  /// PQsendQueryParams, PQpipelineSync, PQgetResult, PQexitPipelineMode).
  ///
  /// At the first that fails the rest is not run, and its error is thrown; the connection stays usable. Outside `transaction` the
  /// statements are one transaction of their own.
  @discardableResult
  public func pipeline(_ statements: [PostgresStatement]) throws(PostgresError) -> [[PostgresRow]] {
    var encoded: [PostgresParameters] = []
    for statement in statements {
      try check(statement.sql)
      encoded.append(try PostgresParameters(statement.parameters))
    }
    guard !statements.isEmpty else { return [] }
    let autocommits = autocommits
    guard unsafe PQsetnonblocking(handle.pointer, 1) == 0,
      unsafe PQenterPipelineMode(handle.pointer) == 1,
      zip(statements, encoded).allSatisfy({ send($0.sql, $1) }),
      unsafe PQpipelineSync(handle.pointer) == 1
    else { throw outOfStep(autocommits: autocommits) }
    sendTheRest()

    var answers: [[PostgresRow]] = []
    var failure: PostgresError?
    for statement in statements {
      let answer = nextAnswer()
      if answer.status != PGRES_PIPELINE_ABORTED {
        do {
          answers.append(
            try checked(
              answer, sql: statement.sql, autocommits: autocommits && failure == nil
            ).rows)
        } catch {
          guard isOpen else { throw error }
          failure = failure ?? error
        }
      }
      guard answer.wasSent, !nextAnswer().wasSent else {
        throw outOfStep(autocommits: autocommits && failure == nil)
      }
    }
    var end = nextAnswer()
    if end.wasSent, end.status != PGRES_PIPELINE_SYNC {
      // What only a commit checks, such as a deferred constraint, fails at the end.
      let refusal = self.failure(
        end, sql: "COMMIT", autocommits: autocommits && failure == nil)
      guard isOpen else { throw refusal }
      failure = failure ?? refusal
      guard !nextAnswer().wasSent else { throw outOfStep(autocommits: false) }
      end = nextAnswer()
    }
    guard end.status == PGRES_PIPELINE_SYNC, unsafe PQexitPipelineMode(handle.pointer) == 1,
      unsafe PQsetnonblocking(handle.pointer, 0) == 0
    else { throw outOfStep(autocommits: autocommits && failure == nil) }
    if let failure { throw failure }
    return answers
  }

  private func send(_ sql: String, _ parameters: PostgresParameters) -> Bool {
    unsafe parameters.withValues { values in
      unsafe PQsendQueryParams(
        handle.pointer, sql, parameters.count, parameters.types, values, parameters.lengths,
        parameters.formats, 0) == 1
    }
  }

  /// Sends what the socket had no room for (PQflush), and reads meanwhile (PQconsumeInput): a server that cannot get rid of its
  /// answers does not take more statements. A connection that is lost shows when the answers are read.
  private func sendTheRest() {
    while unsafe PQflush(handle.pointer) == 1 {
      let ready = unsafe Readiness.wait(PQsocket(handle.pointer), for: [.input, .output])
      if ready.contains(.input), unsafe PQconsumeInput(handle.pointer) == 0 { return }
    }
  }
}
