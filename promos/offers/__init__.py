"""Offers without a database: what a rule may say, when it holds, and what several of them come to.

Only the simulation reads the database: it runs a rule over stored purchases.
"""
