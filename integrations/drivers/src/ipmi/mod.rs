//! IPMI: management controllers over RMCP and RMCP+.
