import Dispatch
import Foundation

/// Turns the first SIGTERM or SIGINT into a call; the second ends the process as usual.
public final class StopSignal: @unchecked Sendable {
  // Set up in init, then only kept alive.
  private let sources: [any DispatchSourceSignal]

  public init(_ stop: @escaping @Sendable () -> Void) {
    sources = [SIGTERM, SIGINT].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler {
        signal(number, SIG_DFL)
        stop()
      }
      source.resume()
      return source
    }
  }
}
