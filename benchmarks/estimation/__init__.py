"""How well performance is estimated without labels, on real tables: the protocol, the peers, the verdict."""
