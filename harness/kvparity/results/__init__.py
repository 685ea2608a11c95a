"""What a comparison came to, as numbers: divergences, results, adding them up, reading them back."""
