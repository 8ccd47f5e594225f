"""What goes over the wire: the requests that are accepted and the answers that are given, as strict structs.

Decoding is strict: an unknown field, a wrong type or an id outside the alphabet is an error that points at
the place, and never a guess.

    words        names, instants and what else several of them are made of
    scores       by customer ids
    events       from posted events, and what would be if
    lists        the top of a task within filters
    explanation  of a score that was given
    about        tasks, model cards, the catalogue of features
    refusals     why a request that was understood is not answered
"""
