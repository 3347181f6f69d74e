import Service

/// The names that dashboards and alerts rely on.
extension Metrics {
  static func indexer() -> Metrics {
    let metrics = Metrics()
    for (name, help) in [
      ("indexer_head_block", "Highest block on which the quorum of endpoints agrees"),
      ("indexer_scanned_block", "Highest block whose logs are fetched"),
      ("indexer_proven_block", "Highest block up to which the logs are proven complete"),
      ("indexer_finalized_block", "Highest block that consensus calls final"),
      ("indexer_ready", "1 when caught up with the head"),
    ] { metrics.declare(name, .gauge, help) }
    for (name, help) in [
      ("indexer_reorgs_total", "Forks that were followed"),
      ("indexer_omissions_detected_total", "Logs that eth_getLogs left out and the proof found"),
      ("indexer_rpc_requests_total", "Requests to endpoints"),
      ("indexer_rpc_duration_seconds_sum", "Time that requests to endpoints took"),
      ("indexer_rpc_duration_seconds_count", "Requests whose time is in the sum"),
    ] { metrics.declare(name, .counter, help) }
    return metrics
  }

  func rpc(endpoint: String, method: String, outcome: String, took: Duration) {
    add(
      "indexer_rpc_requests_total", 1,
      [("endpoint", endpoint), ("method", method), ("outcome", outcome)])
    let labels = [("endpoint", endpoint), ("method", method)]
    let (seconds, attoseconds) = took.components
    add("indexer_rpc_duration_seconds_sum", Double(seconds) + Double(attoseconds) / 1e18, labels)
    add("indexer_rpc_duration_seconds_count", 1, labels)
  }

  func follow(_ status: IndexerStatus, isReady: Bool) {
    set("indexer_head_block", Double(status.head))
    set("indexer_scanned_block", Double(status.scannedTo))
    set("indexer_proven_block", Double(status.provenTo))
    set("indexer_finalized_block", Double(status.finalizedTo))
    set("indexer_reorgs_total", Double(status.reorgs))
    set("indexer_omissions_detected_total", Double(status.omissionsDetected))
    set("indexer_ready", isReady ? 1 : 0)
  }
}
