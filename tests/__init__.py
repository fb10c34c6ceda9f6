"""Tests of orderhalt."""
