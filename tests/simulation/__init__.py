"""The same cores under virtual time: seeded links, crashes, a store that forgets what was not
committed. One seed, one trace. The main test of the product.
"""
