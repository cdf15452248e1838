"""Thin Faust agents and the stages behind them: they connect the pure part to the engine."""
