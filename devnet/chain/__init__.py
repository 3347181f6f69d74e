"""The dev chain: a real EVM (py-evm, Prague rules) behind Ethereum's JSON-RPC."""
