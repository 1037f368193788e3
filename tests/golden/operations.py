"""All golden cases of operations, in the order of the files.

A row of the table of operations and compositions without a case here fails the C suite, unless
operations.c lists it as exempt and says why.
"""
import cases_activation
import cases_heavy
import cases_loss
import cases_norm
import cases_pointwise
import cases_recurrent
import cases_structure
from cases import run_all

FAMILIES = (
    cases_pointwise.pointwise, cases_structure.reductions, cases_structure.structure,
    cases_heavy.heavy, cases_norm.normalization, cases_norm.sample_norms,
    cases_activation.activations, cases_loss.losses,
    cases_recurrent.recurrent,
)


def generate():
    return run_all([case for family in FAMILIES for case in family()])
