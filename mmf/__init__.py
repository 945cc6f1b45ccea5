"""Money Machine Framework: from closed klines to a judged model, with nothing from the future in between."""
