import Service
import Testing

@Suite struct MetricsTests {
  @Test func `metrics are written as Prometheus reads them`() {
    let metrics = Metrics()
    metrics.declare("requests_total", .counter, "Requests.")
    metrics.add("requests_total", 2, [("endpoint", "a\"b\\c")])
    metrics.add("requests_total", 1, [("endpoint", "a\"b\\c")])
    #expect(
      metrics.exposition
        == "# HELP requests_total Requests.\n# TYPE requests_total counter\n"
        + "requests_total{endpoint=\"a\\\"b\\\\c\"} 3\n")
  }
}
