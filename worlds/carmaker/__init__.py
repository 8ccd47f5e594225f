"""An invented carmaker: customers with hidden lives, the tables they leave behind, and the truth about both.

Everything in this package is invented. No row describes a real person, car or dealer. It exists so that a
claim about a model (its quality, its calibration, that it saw no future) can be checked against what is true.
"""
