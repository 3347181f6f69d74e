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
    ] { metrics.declare(name, .counter, help) }
    metrics.declare(
      "indexer_rpc_duration_seconds", .summary, "Time that requests to endpoints took")
    return metrics
  }

  func rpc(endpoint: String, method: String, outcome: String, took: Duration) {
    add(
      "indexer_rpc_requests_total", 1,
      [("endpoint", endpoint), ("method", method), ("outcome", outcome)])
    let (seconds, attoseconds) = took.components
    observe(
      "indexer_rpc_duration_seconds", Double(seconds) + Double(attoseconds) / 1e18,
      [("endpoint", endpoint), ("method", method)])
  }

  func follow(_ status: IndexerStatus) {
    set("indexer_head_block", Double(status.head))
    set("indexer_scanned_block", Double(status.scannedTo))
    set("indexer_proven_block", Double(status.provenTo))
    set("indexer_finalized_block", Double(status.finalizedTo))
    set("indexer_reorgs_total", Double(status.reorgs))
    set("indexer_omissions_detected_total", Double(status.omissionsDetected))
  }
}
