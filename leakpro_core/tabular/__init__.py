"""Tables: records of a synthetic release, the people behind it, and the audit of both.

``table``     Column, Table: typed columns of numpy, missing values said
``infer``     from pyarrow tables to Tables of one schema, or an error that names the column
``distance``  mixed-type distances, blocked nearest neighbours
"""
