import CCurl
import Foundation

/// libcurl's multi interface, which keeps the connections, on a thread of its own.
/// The thread lives while there is something to do, and lingers for a while after.
@safe final class HTTPLoop: @unchecked Sendable {
  private static let mostConnections = 16
  private static let lingerSeconds = 10.0

  // Used by the thread alone; but for curl_multi_wakeup, which any thread may call.
  private let multi: UnsafeMutableRawPointer?

  // The condition protects what follows.
  private let condition = NSCondition()
  private var arrived: [HTTPExchange] = []
  private var isRunning = false
  private var isDismissed = false

  // curl_global_init is to be called once, before any other thread uses the library.
  private static let isReady = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

  init() {
    unsafe multi = Self.isReady ? curl_multi_init() : nil
  }

  deinit {
    unsafe curl_multi_cleanup(multi)
  }

  func add(_ exchange: HTTPExchange) {
    condition.withLock {
      arrived.append(exchange)
      if isRunning {
        condition.signal()
        unsafe curl_multi_wakeup(multi)
      } else {
        isRunning = true
        Thread.detachNewThread { [self] in run() }
      }
    }
  }

  /// Has the thread look at exchanges that were ended from outside.
  func wake() { unsafe curl_multi_wakeup(multi) }

  /// No exchange comes any more; those under way go on to their end.
  func dismiss() {
    condition.withLock {
      isDismissed = true
      condition.signal()
    }
  }

  private func run() {
    // OpenSSL writes to sockets without MSG_NOSIGNAL.
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    unsafe sigaddset(&signals, SIGPIPE)
    unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
    var line: [HTTPExchange] = []
    var running: [UnsafeMutableRawPointer: HTTPExchange] = unsafe [:]
    while let new = unsafe next(isIdle: running.isEmpty && line.isEmpty) {
      line += new
      let free = unsafe Self.mostConnections - running.count
      for exchange in line.prefix(free) where !exchange.isOver {
        guard let transfer = unsafe exchange.makeTransfer(),
          unsafe curl_multi_add_handle(multi, transfer) == CURLM_OK
        else {
          exchange.finish(.failure(.transport("out of memory")))
          continue
        }
        unsafe running[transfer] = exchange
      }
      line.removeFirst(min(free, line.count))
      var count: Int32 = 0
      unsafe curl_multi_perform(multi, &count)
      var left: Int32 = 0
      while let message = unsafe curl_multi_info_read(multi, &left) {
        guard unsafe message.pointee.msg == CURLMSG_DONE,
          let transfer = unsafe message.pointee.easy_handle
        else {
          continue
        }
        let code = unsafe curl_shim_message_result(message)
        unsafe curl_multi_remove_handle(multi, transfer)
        unsafe running.removeValue(forKey: transfer)?.ended(code)
      }
      let now = ContinuousClock.now
      for unsafe(transfer, exchange) in unsafe running
      where exchange.isOver || exchange.expiry <= now {
        unsafe curl_multi_remove_handle(multi, transfer)
        exchange.finish(.failure(.transport("timed out")))
        unsafe running[transfer] = nil
      }
      // Those that ended may have made room for some in the line.
      guard unsafe line.isEmpty || running.count == Self.mostConnections else { continue }
      if let expiry = unsafe running.values.lazy.map(\.expiry).min() {
        let wait = (expiry - .now) / .milliseconds(1)
        unsafe curl_multi_poll(multi, nil, 0, Int32(max(1, min(wait.rounded(.up), 1_000))), nil)
      }
    }
  }

  /// What has arrived; nil when the thread is to end.
  private func next(isIdle: Bool) -> [HTTPExchange]? {
    condition.withLock {
      let end = Date(timeIntervalSinceNow: Self.lingerSeconds)
      while isIdle, arrived.isEmpty, !isDismissed, condition.wait(until: end) {}
      if isIdle, arrived.isEmpty {
        isRunning = false
        return nil
      }
      defer { arrived = [] }
      return arrived
    }
  }
}
