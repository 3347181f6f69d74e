import Ethereum

/// Takes steps until a block is reached (`sync`) or for ever (`run`), waits between them, and says what happened.
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
        guard let number = UInt64(text) else { return nil }
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

  /// What there is to say while it goes on.
  enum Event: Sendable {
    case stored(ChainSegment)
    case orphaned(from: UInt64, events: Int)
    case waiting(String)
  }

  let clock: C
  /// Between two looks at a chain that has nothing new.
  let poll: Duration
  let say: @Sendable (Event) -> Void

  /// Back-off after a failure: doubles from the poll interval up to this.
  private static var longestWait: Duration { .seconds(60) }

  func sync(_ chain: inout ChainSync, to target: Target, within timeout: Duration?) async throws
    -> End
  {
    let deadline = timeout.map { clock.now.advanced(by: $0) }
    var goal: UInt64?
    var wait = poll
    while true {
      var obstacle: String
      do {
        if goal == nil { goal = try await block(target, of: chain.source) }
        if let goal {
          switch try await chain.step(upTo: goal) {
          case .stored(let segment):
            say(.stored(segment))
            wait = poll
            obstacle = ""
          case .orphaned(let from, let events):
            say(.orphaned(from: from, events: events))
            obstacle = ""
          case .current(let reached):
            if reached > goal { return .done }
            obstacle = "block \(goal) is not there yet"
          case .waiting(let reason): obstacle = reason.description
          }
        } else {
          obstacle = "too few endpoints agree on where the chain stands"
        }
      } catch ChainFault.unavailable(let what) {
        obstacle = ChainFault.unavailable(what).description
        wait = min(wait * 2, Self.longestWait)
      }
      if let deadline, clock.now >= deadline {
        return .notYet(obstacle.isEmpty ? "time is up" : obstacle)
      }
      if !obstacle.isEmpty {
        say(.waiting(obstacle))
        try await clock.sleep(
          until: min(clock.now.advanced(by: wait), deadline ?? clock.now.advanced(by: wait)),
          tolerance: nil)
      }
    }
  }

  /// Never returns: ends by cancellation, or by throwing what a person must decide.
  func run(_ chain: inout ChainSync) async throws -> Never {
    var wait = poll
    while true {
      try Task.checkCancellation()
      do {
        switch try await chain.step(upTo: .max) {
        case .stored(let segment): say(.stored(segment))
        case .orphaned(let from, let events): say(.orphaned(from: from, events: events))
        case .current: try await clock.sleep(for: poll)
        case .waiting(let reason):
          say(.waiting(reason.description))
          try await clock.sleep(for: poll)
        }
        wait = poll
      } catch let fault as ChainFault {
        // Endpoints come back; also one that was disproved is asked again after a while.
        say(.waiting(fault.description))
        try await clock.sleep(for: wait)
        wait = min(wait * 2, Self.longestWait)
      }
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
