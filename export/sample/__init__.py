"""The prepared training sample."""
