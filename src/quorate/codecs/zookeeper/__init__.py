"""ZooKeeper's wire format: jute records in frames with a length of four bytes."""
