import Credits
import Ethereum
import Foundation
import FoundationNetworking

// SCAFFOLD until ChainRPC lands
struct NodeChain: SettlementChain {
  let urls: [URL], sends: [URL]
  init(reading: String, sending: String, quorum: Int?) throws {
    urls = reading.split(separator: ",").map { URL(string: String($0))! }
    sends = sending.split(separator: ",").map { URL(string: String($0))! }
  }
  struct RPCError: Error { let message: String }
  func rpc(_ url: URL? = nil, _ method: String, _ params: [Any]) async throws -> Any {
    var r = URLRequest(url: url ?? urls[0], timeoutInterval: 10)
    r.httpMethod = "POST"
    r.setValue("application/json", forHTTPHeaderField: "Content-Type")
    r.httpBody = try JSONSerialization.data(withJSONObject: ["jsonrpc": "2.0", "id": 1, "method": method, "params": params] as [String: Any])
    let data: Data
    do { data = try await URLSession.shared.data(for: r).0 } catch { throw ChainUnavailable("\(error)") }
    guard let o = try JSONSerialization.jsonObject(with: data) as? [String: Any] else { throw ChainUnavailable("no object") }
    if let e = o["error"] as? [String: Any] { throw RPCError(message: "\(e["message"] ?? "?")") }
    return o["result"] ?? NSNull()
  }
  func q(_ any: Any) -> UInt256 { UInt256(quantity: any as! String)! }
  func n(_ any: Any) -> UInt64 { UInt64(exactly: q(any))! }
  func chainID() async throws -> UInt64 { n(try await rpc("eth_chainId", [])) }
  func rpc(_ method: String, _ params: [Any]) async throws -> Any { try await rpc(nil, method, params) }
  func hasCode(_ a: Address, at b: Hash32) async throws -> Bool { (try await rpc("eth_getCode", [a.checksummed, ["blockHash": b.hex]]) as! String) != "0x" }
  func call(_ to: Address, _ data: [UInt8], at b: Hash32) async throws -> [UInt8] {
    try Hex.decode(try await rpc("eth_call", [["to": to.checksummed, "data": Hex.encode(data)], ["blockHash": b.hex]]) as! String)
  }
  func nonce(of a: Address, at b: Hash32) async throws -> UInt64 { n(try await rpc("eth_getTransactionCount", [a.checksummed, ["blockHash": b.hex]])) }
  func latestNonce(of a: Address) async throws -> UInt64 { n(try await rpc("eth_getTransactionCount", [a.checksummed, "latest"])) }
  func pendingNonce(of a: Address) async throws -> UInt64 { n(try await rpc("eth_getTransactionCount", [a.checksummed, "pending"])) }
  func balance(of a: Address) async throws -> UInt256 { q(try await rpc("eth_getBalance", [a.checksummed, "latest"])) }
  func simulate(from: Address, to: Address, data: [UInt8]) async throws {
    do { _ = try await rpc("eth_call", [["from": from.checksummed, "to": to.checksummed, "data": Hex.encode(data)], "latest"]) } catch let e as RPCError { throw EstimateRefused(reason: e.message) }
  }
  func estimateGas(from: Address, to: Address, data: [UInt8]) async throws -> UInt64 {
    do { return n(try await rpc("eth_estimateGas", [["from": from.checksummed, "to": to.checksummed, "data": Hex.encode(data)]])) } catch let e as RPCError { throw EstimateRefused(reason: e.message) }
  }
  func fees() async throws -> (baseFeeWei: UInt256, tipWei: UInt256) {
    let h = try await rpc("eth_feeHistory", ["0x5", "latest", [50]]) as! [String: Any]
    return (q((h["baseFeePerGas"] as! [Any]).last!), UInt256(1_000_000_000))
  }
  func inclusion(of hash: Hash32) async throws -> SendState.Inclusion? {
    guard let r = try await rpc("eth_getTransactionReceipt", [hash.hex]) as? [String: Any] else { return nil }
    return SendState.Inclusion(hash: hash, blockNumber: n(r["blockNumber"]!), blockHash: try Hash32(hex: r["blockHash"] as! String), gasUsed: n(r["gasUsed"]!), gasPriceWei: q(r["effectiveGasPrice"]!), succeeded: n(r["status"]!) == 1)
  }
  func provenReceipts(of b: Hash32, header: [UInt8]) async throws -> ProvenBlock {
    let rs = try await rpc("eth_getBlockReceipts", [["blockHash": b.hex]]) as! [[String: Any]]
    return ProvenBlock(transactions: try rs.map { try Hash32(hex: $0["transactionHash"] as! String) }, receipts: rs.map { ProvenBlock.Receipt(succeeded: n($0["status"]!) == 1, gasUsed: n($0["gasUsed"]!), logs: []) })
  }
  func send(_ raw: [UInt8]) async -> [SendAnswer] {
    var out: [SendAnswer] = []
    for u in sends {
      do { let h = try await rpc(u, "eth_sendRawTransaction", [Hex.encode(raw)]); out.append(SendAnswer(endpoint: u.absoluteString, outcome: "accepted \(h)", accepted: true)) }
      catch let e as RPCError { out.append(SendAnswer(endpoint: u.absoluteString, outcome: e.message, accepted: false)) }
      catch { out.append(SendAnswer(endpoint: u.absoluteString, outcome: "\(error)", accepted: false)) }
    }
    return out
  }
}
