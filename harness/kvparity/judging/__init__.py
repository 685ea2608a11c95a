"""What is right, and who is wrong: the oracle, the examiner, the judge. No cache is called here."""
