"""The nightly batch measured, alone and beside what one would write instead."""
