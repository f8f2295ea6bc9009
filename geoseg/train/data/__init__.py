"""What is learnt from: described and published data sets, and which windows of them are shown, how.

`dataset` holds labelled scenes. They come from a description (`spec`, `labels`) or a published
layout (`readers`); marks become classes in `decode` and `vectors`, when pixels are asked for
(`lazy`). `sampling` draws windows (`reservoir`: pixels of a class), `augment` changes them.
"""
