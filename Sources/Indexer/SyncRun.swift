import Ethereum

/// What there is to say while the chain is followed.
enum SyncEvent: Sendable {
  /// `goal`: the block that `sync` goes to.
  case stored(ChainSegment, goal: UInt64?)
  case orphaned(from: UInt64, events: Int64)
  case waiting(String)
}

/// Takes steps until a block is reached (`sync`) or for ever (`run`), and waits between them.
struct SyncRun<C: Clock>: Sendable where C.Duration == Duration {
  /// Up to which block `sync` goes.
  enum Target: Sendable, Equatable {
    case block(UInt64)
    /// The head, or the finalized block, when it starts.
    case latest, finalized

    init?(_ text: String) {
      switch text {
      case "latest": self = .latest
      case "finalized": self = .finalized
      default:
        guard let number = UInt64(text), number <= UInt64(Int64.max) else { return nil }
        self = .block(number)
      }
    }
  }

  enum End: Sendable, Equatable {
    /// The target is scanned, and all that finality and the proof mode allow is proven and applied.
    case done
    /// Time is up; it is safe to run again.
    case notYet(String)
  }

  let clock: C
  /// Between two looks at a chain that has nothing new.
  let poll: Duration
  let say: @Sendable (SyncEvent) -> Void

  /// Back-off after failures doubles from the poll interval up to this.
  private static var longestWait: Duration { .seconds(60) }

  /// - Throws: what a person must decide, a contradiction that leaves no endpoint, and the database's errors
  func sync(_ chain: inout ChainSync, to target: Target, within timeout: Duration?) async throws
    -> End
  {
    let deadline = timeout.map { clock.now.advanced(by: $0) }
    var goal: UInt64?
    var wait = poll
    var said = ""
    while true {
      var obstacle: String?
      do {
        if goal == nil { goal = try await block(target, of: chain.source) }
        if let goal {
          switch try await chain.step(upTo: goal) {
          case .stored(let segment): say(.stored(segment, goal: goal))
          case .orphaned(let from, let events): say(.orphaned(from: from, events: events))
          case .current(let unscanned):
            if unscanned > goal { return .done }
            obstacle = "block \(goal) is not there yet"
          case .waiting(let reason): obstacle = reason.description
          }
        } else {
          obstacle = "too few endpoints agree on where the chain stands"
        }
        wait = poll
      } catch let fault as ChainFault {
        if case .contradicted = fault { throw fault }
        obstacle = fault.description
        wait = min(wait * 2, Self.longestWait)
      }
      if let deadline, clock.now >= deadline { return .notYet(obstacle ?? "time is up") }
      guard let obstacle else { continue }
      if obstacle != said { say(.waiting(obstacle)) }
      said = obstacle
      let next = clock.now.advanced(by: wait)
      try await clock.sleep(until: deadline.map { min($0, next) } ?? next, tolerance: nil)
    }
  }

  /// Ends only by cancellation, or by throwing what a person must decide and the database's errors.
  ///
  /// - Parameter looked: told after each look what keeps the ledger from the head; nil when it stands there
  func run(
    _ chain: inout ChainSync, looked: @Sendable (_ obstacle: String?) async throws -> Void
  ) async throws {
    var wait = poll
    var said = ""
    while true {
      try Task.checkCancellation()
      var obstacle = ""
      do {
        switch try await chain.step() {
        case .stored(let segment):
          say(.stored(segment, goal: nil))
          wait = poll
          continue
        case .orphaned(let from, let events):
          say(.orphaned(from: from, events: events))
          continue
        case .current: break
        case .waiting(let reason): obstacle = reason.description
        }
        wait = poll
      } catch let fault as ChainFault {
        try Task.checkCancellation()
        // Endpoints come back.
        obstacle = fault.description
        wait = min(wait * 2, Self.longestWait)
      }
      try await looked(obstacle.isEmpty ? nil : obstacle)
      if !obstacle.isEmpty, obstacle != said { say(.waiting(obstacle)) }
      said = obstacle
      try await clock.sleep(for: wait)
    }
  }

  private func block(_ target: Target, of source: any ChainSource) async throws -> UInt64? {
    switch target {
    case .block(let number): number
    case .latest: try await source.tip().head?.number
    case .finalized: try await source.tip().finalized?.number
    }
  }
}
