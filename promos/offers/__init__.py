"""Offers without a database: what a rule may say, when it holds, and what several of them come to."""
