"""The audit of updates of clients in federated learning, by the same judge as every other.

``stage``     what is played: batches, decoys, rounds
``play``      one attack as one adversary
``kept``      what attacks answered, so that an audit that was killed goes on
``certified`` what an attack demonstrates by the update alone
``fidelity``  how reconstructions look, which decides nothing
``checks``    the validity panel
``planted``   whether attacks see a record that an update gives away
``audit``     from top to bottom
``assemble``  from rounds to the report
``exhibits``  reconstructions beside the records of the batch
``outlook``   what an audit will be able to say
"""
