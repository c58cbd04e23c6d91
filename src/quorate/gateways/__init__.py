"""Other systems' protocols, spoken by a cluster of ours."""
