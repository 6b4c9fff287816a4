"""Pictures: they take ``ax=``, return the Axes and never call show. matplotlib is loaded when the first is drawn."""
