"""What clients do with each recipe, one file each; every habit leaves evidence of its promise."""
