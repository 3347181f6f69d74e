import CCurl
import Foundation
import Synchronization

/// A request on its way to its answer. It ends once: by its answer, its failure, or from outside.
///
/// All but `begin`, `finish` and `isOver` belongs to the loop's thread.
@safe final class HTTPExchange: @unchecked Sendable {
  typealias Continuation = CheckedContinuation<HTTPTransport.Answer, any Error>

  let deadline: ContinuousClock.Instant
  private let request: [UInt8]
  private let server: HTTPServerOptions

  private struct State {
    var continuation: Continuation?
    var isOver = false
  }
  private let state = Mutex(State())

  private var handle: OpaqueHandle?
  private var headers: UnsafeMutablePointer<curl_slist>?
  private var body: [UInt8] = []
  private var headerCount = 0
  private var retryAfterSeconds: Int?
  private var isTooLarge = false
  private var lastByte = ContinuousClock.now
  /// What libcurl says beside its error code (CURLOPT_ERRORBUFFER).
  private let remark = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))

  typealias OpaqueHandle = UnsafeMutableRawPointer

  /// Bytes of all header lines of an answer; real ones have one or two thousand.
  private static let headerCap = 64 << 10

  init(_ request: [UInt8], to server: HTTPServerOptions, deadline: ContinuousClock.Instant) {
    self.request = request
    self.server = server
    self.deadline = deadline
    unsafe remark.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
  }

  deinit {
    unsafe curl_easy_cleanup(handle)
    unsafe curl_slist_free_all(headers)
    unsafe remark.deallocate()
  }

  // MARK: From any thread

  /// Says who is to be answered. False: it was over before it began, and they have been told.
  func begin(_ continuation: Continuation) -> Bool {
    let isOver = state.withLock { state in
      if !state.isOver { state.continuation = continuation }
      return state.isOver
    }
    if isOver { continuation.resume(throwing: HTTPTransport.Failure.transport("cancelled")) }
    return !isOver
  }

  /// Ends it; the first to do so decides.
  func finish(_ result: Result<HTTPTransport.Answer, HTTPTransport.Failure>) {
    let continuation = state.withLock { state in
      state.isOver = true
      defer { state.continuation = nil }
      return state.continuation
    }
    continuation?.resume(with: result)
  }

  var isOver: Bool { state.withLock { $0.isOver } }

  // MARK: On the loop's thread

  /// When it is to be given up if no byte comes before.
  var expiry: ContinuousClock.Instant { min(deadline, lastByte + server.patience) }

  /// A transfer for libcurl's multi interface (curl_easy_setopt); nil when it cannot be set up.
  ///
  /// The transfer points to this object: it must not outlive it.
  func makeTransfer() -> OpaqueHandle? {
    guard let handle = unsafe curl_easy_init() else { return nil }
    unsafe self.handle = handle
    lastByte = .now
    let own = unsafe Unmanaged.passUnretained(self).toOpaque()
    // "Expect:" empty: no round trip before a large body. Compressed answers are not asked for: a small one may grow without end.
    for line in ["Content-Type: application/json", "Accept: application/json", "Expect:"] {
      guard let longer = unsafe curl_slist_append(headers, line) else { return nil }
      unsafe headers = longer
    }
    let results = unsafe [
      curl_shim_set_text(handle, CURLOPT_URL, server.url),
      curl_shim_set_pointer(handle, CURLOPT_ERRORBUFFER, remark),
      curl_shim_set_text(handle, CURLOPT_PROTOCOLS_STR, "http,https"),
      curl_shim_set_number(handle, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1)),
      curl_shim_set_number(handle, CURLOPT_FOLLOWLOCATION, 0),
      curl_shim_set_number(handle, CURLOPT_NOSIGNAL, 1),
      curl_shim_set_number(handle, CURLOPT_CONNECTTIMEOUT_MS, server.patience.milliseconds),
      curl_shim_set_pointer(handle, CURLOPT_HTTPHEADER, headers),
      curl_shim_set_number(handle, CURLOPT_POST, 1),
      curl_shim_set_size(handle, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(request.count)),
      request.withUnsafeBytes {
        unsafe curl_shim_set_pointer(
          handle, CURLOPT_COPYPOSTFIELDS, UnsafeMutableRawPointer(mutating: $0.baseAddress))
      },
      unsafe curl_shim_set_size(handle, CURLOPT_MAXFILESIZE_LARGE, curl_off_t(server.cap)),
      unsafe curl_shim_set_pointer(handle, CURLOPT_WRITEDATA, own),
      unsafe curl_shim_set_bytes(
        handle, CURLOPT_WRITEFUNCTION,
        { bytes, size, count, user in
          unsafe HTTPExchange.of(user)?.received(
            body: UnsafeRawBufferPointer(start: bytes, count: size * count)) ?? 0
        }),
      unsafe curl_shim_set_pointer(handle, CURLOPT_HEADERDATA, own),
      unsafe curl_shim_set_bytes(
        handle, CURLOPT_HEADERFUNCTION,
        { bytes, size, count, user in
          unsafe HTTPExchange.of(user)?.received(
            header: UnsafeRawBufferPointer(start: bytes, count: size * count)) ?? 0
        }),
      unsafe server.isLoopback ? curl_shim_set_text(handle, CURLOPT_PROXY, "") : CURLE_OK,
      // As OpenSSL's own programs have it; libcurl by itself knows only the file it was built with.
      ProcessInfo.processInfo.environment["SSL_CERT_FILE"].map {
        unsafe curl_shim_set_text(handle, CURLOPT_CAINFO, $0)
      } ?? CURLE_OK,
    ]
    return results.allSatisfy { $0 == CURLE_OK } ? unsafe handle : nil
  }

  /// The exchange that a transfer points to.
  static func of(_ user: UnsafeMutableRawPointer?) -> HTTPExchange? {
    unsafe user.map { unsafe Unmanaged<HTTPExchange>.fromOpaque($0).takeUnretainedValue() }
  }

  /// CURLOPT_WRITEFUNCTION: anything but the count ends the transfer.
  private func received(body bytes: UnsafeRawBufferPointer) -> Int {
    guard body.count + bytes.count <= server.cap else {
      isTooLarge = true
      return 0
    }
    unsafe body.append(contentsOf: bytes)
    lastByte = .now
    return bytes.count
  }

  /// CURLOPT_HEADERFUNCTION: one whole line at a time.
  private func received(header bytes: UnsafeRawBufferPointer) -> Int {
    headerCount += bytes.count
    guard headerCount <= Self.headerCap else {
      isTooLarge = true
      return 0
    }
    lastByte = .now
    let line = unsafe String(decoding: bytes, as: UTF8.self)
    if let colon = line.firstIndex(of: ":"), line[..<colon].lowercased() == "retry-after" {
      let value = line[line.index(after: colon)...].trimmingCharacters(in: .whitespacesAndNewlines)
      // Also a date by RFC 9110; no provider was seen to send one.
      retryAfterSeconds = value.allSatisfy { $0.isASCII && $0.isNumber } ? Int(value) : nil
    }
    return bytes.count
  }

  /// Ends it with what libcurl says of its transfer.
  func ended(_ code: CURLcode) {
    guard code == CURLE_OK else {
      return finish(.failure(failure(code)))
    }
    var status = 0
    unsafe curl_shim_get_number(handle, CURLINFO_RESPONSE_CODE, &status)
    finish(
      .success(
        HTTPTransport.Answer(status: status, retryAfterSeconds: retryAfterSeconds, body: body)))
  }

  /// libcurl's remark may hold the URL, and with it a key: it is told only of TLS, where it names the certificate's fault.
  private func failure(_ code: CURLcode) -> HTTPTransport.Failure {
    if isTooLarge || code == CURLE_FILESIZE_EXCEEDED { return .tooLarge }
    switch code {
    case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: return .transport("unknown host")
    case CURLE_COULDNT_CONNECT:
      var number = 0
      unsafe curl_shim_get_number(handle, CURLINFO_OS_ERRNO, &number)
      let why =
        number > 0 ? unsafe ": \(String(cString: strerror(Int32(truncatingIfNeeded: number))))" : ""
      return .transport("cannot connect\(why)")
    case CURLE_OPERATION_TIMEDOUT: return .transport("timed out")
    case CURLE_GOT_NOTHING, CURLE_PARTIAL_FILE, CURLE_RECV_ERROR, CURLE_SEND_ERROR:
      return .transport("connection lost")
    case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE:
      return .transport(unsafe "TLS failed: \(String(cString: remark))")
    default: return .transport(unsafe "not HTTP: \(String(cString: curl_easy_strerror(code)))")
    }
  }
}

extension Duration {
  fileprivate var milliseconds: Int {
    let (seconds, attoseconds) = components
    return Int(clamping: seconds) * 1_000 + Int(attoseconds / 1_000_000_000_000_000)
  }
}
