<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1">
<context>
    <name>geoseg</name>
    <message>
        <location filename="../algorithms/labels.py" line="108"/>
        <source>the labels are a picture, not class values; choose a raster of whole numbers</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/labels.py" line="116"/>
        <source>the labels have more than {} values, so they are a picture or measurements; choose a raster with one whole number for each class</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/labels.py" line="126"/>
        <source>the labels have broken numbers; choose a raster with one whole number a class</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/labels.py" line="130"/>
        <source>the labels have {} value; two at least are needed to tell apart</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/labels.py" line="174"/>
        <source>the field has {} values; choose one with a name or whole number a class</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_widget.py" line="64"/>
        <source>Model file</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../models.py" line="142"/>
        <source>Models (*.safetensors);;All files (*)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/models.py" line="66"/>
        <source>transparency</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/models.py" line="73"/>
        <source>Bands (BANDS) has {} entries ({}), but {} takes {}: {}; give one for each</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/models.py" line="80"/>
        <source>Bands (BANDS) names band {}, but layer “{}” has {}; give 1 to {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/models.py" line="90"/>
        <source>choose an image that has them, or another model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/models.py" line="93"/>
        <source>say under Bands (BANDS) which they are, in the model&apos;s order, as in {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/models.py" line="95"/>
        <source>{} takes {} bands ({}), but layer “{}” has {} ({}); {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="74"/>
        <source>Classifying</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="75"/>
        <source>Making polygons</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="76"/>
        <source>Training</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="77"/>
        <source>Comparing</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="78"/>
        <source>Working</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="81"/>
        <source>{:.3g} Mpx/s</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="83"/>
        <source>step {} of {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="84"/>
        <source>loss {:.3g}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="86"/>
        <source>mIoU {:.3f}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="88"/>
        <source>{} left</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="94"/>
        <source>{} s</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="96"/>
        <source>{} min</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="97"/>
        <source>{:.1f} h</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../bands.py" line="62"/>
        <source>Choose…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../bands.py" line="70"/>
        <source>Band {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../bands.py" line="72"/>
        <source>{} (transparency)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../catalogue.py" line="62"/>
        <source>geoseg: list of models</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../catalogue.py" line="91"/>
        <source>geoseg: reading a model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="152"/>
        <source>Add a raster layer to the project to begin.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="154"/>
        <source>The layer cannot be read. Repair its source, or choose another one.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="190"/>
        <source>geoseg: looking at values</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="214"/>
        <source>{} bands</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="216"/>
        <source>web map</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="221"/>
        <source>no CRS</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="233"/>
        <source>About {} pixels</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="267"/>
        <source>These files exist already and will be replaced:

{}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="269"/>
        <source>Their layers will be taken out of the project.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="270"/>
        <source>Replace files?</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="284"/>
        <source>One more step: set geoseg up. It works in a Python of its own, apart from QGIS.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="291"/>
        <source>Set up…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="293"/>
        <source>Try again</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="326"/>
        <source>Side of a pixel, in units of the layer&apos;s CRS, with which it is exported</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="332"/>
        <source>Bands</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="344"/>
        <source>Pixel size</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="345"/>
        <source>Image</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="345"/>
        <source>Model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="345"/>
        <source>Area</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="345"/>
        <source>Save as</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/environment.py" line="171"/>
        <source>there is no Python in the folder {}; choose the interpreter of an environment that has geoseg</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/environment.py" line="179"/>
        <source>{} does not exist; choose an existing Python that has geoseg</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/environment.py" line="183"/>
        <source>{} is no Python interpreter; choose a file called python, python3 or python.exe</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/environment.py" line="207"/>
        <source>the environment variable GEOSEG_PYTHON</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/environment.py" line="209"/>
        <source>the setting &apos;Use an existing Python&apos;</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/environment.py" line="212"/>
        <source>geoseg is not installed yet; open Settings &gt; Options &gt; geoseg and install it, or choose a Python that has it</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/environment.py" line="218"/>
        <source>the installed engine</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/environment.py" line="250"/>
        <source>{} does not answer as a Python 3 does; choose another Python</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/environment.py" line="286"/>
        <source>geoseg in {} does not work: {}; install it again, or choose another Python</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/environment.py" line="308"/>
        <source>{} is Python {}, geoseg needs {} or newer; choose a newer Python</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/environment.py" line="314"/>
        <source>{} has no geoseg; install it there (pip install geoseg), or choose another Python</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/environment.py" line="321"/>
        <source>update geoseg there</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/environment.py" line="321"/>
        <source>update this plugin</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/environment.py" line="322"/>
        <source>{} has geoseg {}, this plugin works with {}.x; {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="62"/>
        <source>the disk is full</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="62"/>
        <source>free some space, or let the environment variable GEOSEG_HOME name a folder on another disk, then install again: what is downloaded already is used</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="62"/>
        <source>the proxy does not let the download through</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="62"/>
        <source>set address, user and password of the proxy in Settings &gt; Options &gt; Network of QGIS, then install again</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="62"/>
        <source>the secure connection is not trusted: something between here and the package index looks into it</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="62"/>
        <source>ask the administrator for the certificate of the network and import it in Settings &gt; Options &gt; Authentication of QGIS, or let the environment variable SSL_CERT_FILE name it</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="62"/>
        <source>another program, most likely the virus scanner, holds or blocks a file</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="62"/>
        <source>allow the folder of geoseg in the virus scanner, close other QGIS windows, then install again</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="62"/>
        <source>a library of Microsoft that PyTorch needs is missing or too old</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="62"/>
        <source>install the Microsoft Visual C++ Redistributable (x64) of 2015-2022, start the computer again, then install again</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="62"/>
        <source>the folder of geoseg may not be written to, or programs in it may not be started</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="62"/>
        <source>let the environment variable GEOSEG_HOME name a folder that may, then start QGIS again</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="62"/>
        <source>a package is not made for this Python or this system</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="62"/>
        <source>install with a 64-bit Python 3.11, 3.12 or 3.13, or choose an existing Python that has geoseg</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="62"/>
        <source>the package index does not let this computer in</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="62"/>
        <source>check address, user and password of the package index in the settings of pip, or in the environment variable UV_DEFAULT_INDEX; where the network blocks it, choose a folder of wheels or an existing Python that has geoseg</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="62"/>
        <source>a package, or the version of it that is needed, is not in the package index or in the folder of wheels</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="62"/>
        <source>check the address of the package index, or choose a folder of wheels that holds geoseg and everything it needs</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="62"/>
        <source>a downloaded file is damaged</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="62"/>
        <source>install again, with a new copy of it in a folder of wheels; if it happens again, something on the way changes downloads</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="62"/>
        <source>a server cannot be reached</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="62"/>
        <source>check the connection and install again; where the network blocks it, choose a folder of wheels or an existing Python that has geoseg</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="62"/>
        <source>the installation was stopped from outside</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="62"/>
        <source>close other programs, then install again: what is downloaded already is used</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="209"/>
        <source>take PyTorch from the package index instead, or {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="213"/>
        <source>the installation failed: {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="213"/>
        <source>copy the diagnostics and report them, or choose an existing Python that has geoseg</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="227"/>
        <source>the folder of wheels lacks {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="229"/>
        <source>{} is not in the package index</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="232"/>
        <source>{} is not in the package index or in the folder of wheels</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/failures.py" line="246"/>
        <source>it gave no reason</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/home.py" line="90"/>
        <source>another QGIS (process {}) is installing geoseg; wait until it is done, or close it</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/home.py" line="90"/>
        <source>unknown</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/home.py" line="119"/>
        <source>engines are being removed at this moment; try again in a minute</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/home.py" line="138"/>
        <source>an engine is at work, in this QGIS or another one; wait until it is done, or cancel it</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/install.py" line="157"/>
        <source>about {} are needed in {}, but only {} are free</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/install.py" line="224"/>
        <source>Looking for the packages that are needed</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/install.py" line="239"/>
        <source>Checking that everything works</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/install.py" line="252"/>
        <source>the folder of wheels {} does not exist</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/install.py" line="252"/>
        <source>(none given)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/install.py" line="252"/>
        <source>choose a folder that holds the wheels of geoseg and all it needs</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/install.py" line="264"/>
        <source>Downloading uv</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/install.py" line="278"/>
        <source>Getting Python</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/install.py" line="281"/>
        <source>there is no Python 3.11, 3.12 or 3.13 to build on, and none can be downloaded</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/install.py" line="281"/>
        <source>install one from python.org, or choose an existing Python that has geoseg</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/install.py" line="366"/>
        <source>Making the environment</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/install.py" line="428"/>
        <source>Installing packages</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/install.py" line="448"/>
        <source>there is no earlier engine to go back to; install one</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/install.py" line="480"/>
        <source>then install again</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/install.py" line="498"/>
        <source>geoseg was installed but does not work: {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/install.py" line="498"/>
        <source>install again; if it happens again, copy the diagnostics and report them</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/install.py" line="508"/>
        <source>free some space, or let the environment variable GEOSEG_HOME name a folder on another disk</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/install.py" line="526"/>
        <source>{} is a {}-bit Python {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/install.py" line="526"/>
        <source>choose a 64-bit Python 3.11, 3.12 or 3.13</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/install.py" line="615"/>
        <source>Unpacking {} ({})</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/install.py" line="615"/>
        <source>Downloading {} ({})</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="320"/>
        <source>{} MB</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/process.py" line="226"/>
        <source>{} did not answer within {:g} s; try again, or {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/process.py" line="230"/>
        <source>{} says more than geoseg would, so it is none; {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/process.py" line="489"/>
        <source>{} cannot be started as a Python ({}); {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/process.py" line="494"/>
        <source>choose another in the settings of geoseg, or let them install one</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/process.py" line="578"/>
        <source>the Python {} has no geoseg; {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/process.py" line="579"/>
        <source>status {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/process.py" line="581"/>
        <source>{} is no Python with a working geoseg: it ended with {}; {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/process.py" line="583"/>
        <source>the engine ended with {} before it was done; run it again, and report the diagnostics if that does not help</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/process.py" line="597"/>
        <source>the engine was killed (SIGKILL), most likely because memory ran out; close other programs, or give it less memory or a smaller extent, and run it again</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/process.py" line="602"/>
        <source>the engine was ended by somebody else (SIGTERM); run it again to go on</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/process.py" line="603"/>
        <source>error {:#x}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/process.py" line="604"/>
        <source>the engine crashed ({}); run it again, and if that does not help install it anew in the settings of geoseg</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/uv.py" line="175"/>
        <source>the folder of wheels has no wheel of uv for this system</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../engine/uv.py" line="175"/>
        <source>put the wheel of uv into it (pip download --no-deps uv), or install uv</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../extents.py" line="61"/>
        <source>Whole layer</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../extents.py" line="61"/>
        <source>What the map shows</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../extents.py" line="61"/>
        <source>A rectangle drawn on the map</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../extents.py" line="61"/>
        <source>Inside polygons of a layer</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../extents.py" line="69"/>
        <source>Draw…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../extents.py" line="70"/>
        <source>Drag a rectangle on the map</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../extents.py" line="77"/>
        <source>Selected ones only</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../extents.py" line="129"/>
        <source>Choose the polygon layer to stay inside of.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../extents.py" line="131"/>
        <source>No polygon is selected. Select some, or take all of the layer.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../extents.py" line="133"/>
        <source>Drag a rectangle on the map with the left mouse button.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../extents.py" line="135"/>
        <source>The chosen area holds nothing of the layer. Choose another one.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../fitting.py" line="177"/>
        <source>The model needs {wanted} bands ({names}), the layer has {there}. Choose another layer or model.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../fitting.py" line="185"/>
        <source>Choose under Bands which band of the layer is: {names}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../fitting.py" line="188"/>
        <source>One band is used twice. Check the choice under Bands.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../fitting.py" line="201"/>
        <source>Band {number} is taken as {wanted}, but the file marks it as {colour}. If the file is right, change it under Bands.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../fitting.py" line="215"/>
        <source>The layer has no coordinate system, so nobody knows the size of its pixels. The model expects {known}. Set the layer&apos;s CRS if you know it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../fitting.py" line="226"/>
        <source>Pixels of {size} are more than {times} times off the {known} that the model was trained on. Choose an image nearer to that, or another model.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../fitting.py" line="231"/>
        <source>Pixels of {size} are coarser than the {known} that the model was trained on. The image will be resampled, and small things will be missed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../fitting.py" line="235"/>
        <source>Pixels of {size} are finer than the {known} that the model was trained on. The image will be resampled, and its finer detail not used.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../fitting.py" line="256"/>
        <source>Pixel values go up to {seen}, but the model was trained on values up to {usual}: the units differ. Scale the image first, or choose another model.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../fitting.py" line="262"/>
        <source>Pixel values go up to {seen}, but the model was trained on values up to {usual}. The map may be poor: scale the image to such values, or choose another model.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../fitting.py" line="273"/>
        <source>Band {name} has values from {low} to {high}, but the model was trained on decibels below zero. Give decibels, or choose another band.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../fitting.py" line="290"/>
        <source>This layer is a web map. Choose an area of it, and the size of its pixels.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../fitting.py" line="294"/>
        <source>{millions} million pixels are too many to load from a web map. Choose a smaller area or larger pixels.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../fitting.py" line="300"/>
        <source>{millions} million pixels will be loaded from the web map. This takes long, and its provider may object.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="50"/>
        <source>Install for me</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="101"/>
        <source>{what}: {done} of {total}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="110"/>
        <source>Remove geoseg</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="110"/>
        <source>Remove the installed engines and everything that was downloaded for them? Models of your own and maps stay.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../run_panel.py" line="114"/>
        <source>Stopping…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="138"/>
        <source>Starting</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="142"/>
        <source>about {needed} needed, {free} free</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../run_panel.py" line="191"/>
        <source>Copy diagnostics</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="180"/>
        <source>Use geoseg {} in {} again</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="187"/>
        <source>Graphics card if there is one, else processor</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="188"/>
        <source>Processor only (a smaller download)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="189"/>
        <source>What the package index has (no other server)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="190"/>
        <source>The first two take PyTorch from download.pytorch.org. The last one takes it from the package index, as everything else: on Linux it is large and for graphics cards of NVIDIA, elsewhere for the processor.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="255"/>
        <source>Folder of wheels</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="200"/>
        <source>none: from the package index</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="201"/>
        <source>Offline: take everything from this folder</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../run_panel.py" line="261"/>
        <source>Cancel</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../run_panel.py" line="265"/>
        <source>Log</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="237"/>
        <source>See what is needed…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="239"/>
        <source>To see what is needed, up to 50 MB (uv and Python) are fetched. Everything else is downloaded only when you press Install.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="245"/>
        <source>Install</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="247"/>
        <source>Roll back</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="249"/>
        <source>Remove…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="254"/>
        <source>Work with</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="260"/>
        <source>Download</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="261"/>
        <source>Disk</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="262"/>
        <source>Folder</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../options.py" line="310"/>
        <source>Python</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="264"/>
        <source>Packages</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="319"/>
        <source>{} GB</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="326"/>
        <source>about {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="330"/>
        <source>{}; {} of {} packages are here already</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="340"/>
        <source>geoseg {} with {} and {} more</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../install_box.py" line="342"/>
        <source>geoseg {} with {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../installing.py" line="116"/>
        <source>Checking geoseg</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../installing.py" line="129"/>
        <source>Checking a Python for geoseg</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../installing.py" line="144"/>
        <source>Looking what geoseg needs</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../installing.py" line="157"/>
        <source>Installing geoseg</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../installing.py" line="166"/>
        <source>Going back to the geoseg before</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../installing.py" line="174"/>
        <source>Removing geoseg</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../installing.py" line="230"/>
        <source>The installed engines are removed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../installing.py" line="234"/>
        <source>geoseg {version} in this Python works and is used from now on.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../installing.py" line="239"/>
        <source>geoseg {version} is installed, works, and is used from now on.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../installing.py" line="239"/>
        <source>geoseg {version}, the one before, is used again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../installing.py" line="261"/>
        <source>Cancelled. Nothing was changed; what was downloaded is kept.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../models.py" line="103"/>
        <source>Model file…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../models.py" line="142"/>
        <source>Choose a model file</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../models.py" line="150"/>
        <source>Reading {}…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../models.py" line="178"/>
        <source>less</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../models.py" line="178"/>
        <source>more</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../models.py" line="180"/>
        <source>Takes {bands} · {pixels}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../models.py" line="187"/>
        <source>pixels of any size</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../models.py" line="190"/>
        <source>pixels of {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../models.py" line="191"/>
        <source>pixels of {} to {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../options.py" line="159"/>
        <source>Engine</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../options.py" line="162"/>
        <source>Check</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../options.py" line="188"/>
        <source>The environment variable GEOSEG_PYTHON names the Python; it goes before what is chosen and installed below.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../options.py" line="203"/>
        <source>Checking {}…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../options.py" line="208"/>
        <source>geoseg {version}, works on: {device}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../options.py" line="209"/>
        <source>Python: {python}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../options.py" line="220"/>
        <source>{} is used; not checked yet.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../options.py" line="229"/>
        <source>There is no engine yet. Install it, or choose a Python that has geoseg.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../options.py" line="254"/>
        <source>Use an existing Python</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../options.py" line="259"/>
        <source>A Python that has geoseg</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../options.py" line="261"/>
        <source>.../bin/python or ...\python.exe</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../options.py" line="262"/>
        <source>Check and use</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../options.py" line="264"/>
        <source>Do not use it</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../options.py" line="288"/>
        <source>Checking…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../options.py" line="308"/>
        <source>A Python that has geoseg, one in a conda environment for example.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../outputs.py" line="32"/>
        <source>GeoTIFF (*.tif *.tiff)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../outputs.py" line="33"/>
        <source>Save the class map as</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../outputs.py" line="36"/>
        <source>Temporary file</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../outputs.py" line="74"/>
        <source>Add the name of a file to the folder.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../outputs.py" line="77"/>
        <source>Give the whole path of the class map, or press … to choose it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../outputs.py" line="79"/>
        <source>The folder {} does not exist. Choose another one.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../outputs.py" line="82"/>
        <source>The layer {} is read from {}, which would be replaced. Choose another name.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../outputs.py" line="97"/>
        <source>Temporary results are gone when QGIS closes.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../outputs.py" line="101"/>
        <source>Beside it: {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../plugin.py" line="61"/>
        <source>Segment imagery (geoseg)…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../plugin.py" line="63"/>
        <source>Classify a raster layer with a model, and draw its polygons</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../plugin.py" line="66"/>
        <source>Settings…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../provider.py" line="38"/>
        <source>geoseg: semantic segmentation of imagery</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../run_panel.py" line="156"/>
        <source>Classifying {}: block {} of {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../run_panel.py" line="160"/>
        <source>Making polygons of {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../run_panel.py" line="174"/>
        <source>Stopped. Run again to go on from there.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../run_panel.py" line="174"/>
        <source>Stopped. Nothing is kept of a run to temporary files.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../run_panel.py" line="185"/>
        <source>The run failed; see the log.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../run_panel.py" line="193"/>
        <source>{} is not classified; the dock says why.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../run_panel.py" line="204"/>
        <source>{} is classified. Another project is open now, so nothing was added to it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../run_panel.py" line="239"/>
        <source>Open folder</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../run_panel.py" line="208"/>
        <source>Add to this project</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../run_panel.py" line="219"/>
        <source>Polygons</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../run_panel.py" line="222"/>
        <source>Class map</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../run_panel.py" line="226"/>
        <source>Confidence</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../run_panel.py" line="231"/>
        <source>{} is classified.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../run_panel.py" line="248"/>
        <source>Run</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../run_panel.py" line="253"/>
        <source>Help</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../run_panel.py" line="301"/>
        <source>Starting…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../sources.py" line="155"/>
        <source>layer “{}” cannot be read; repair its source, or choose another one</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../sources.py" line="218"/>
        <source>layer “{}” is set to {}, but its file says {}; the layer's is used</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../sources.py" line="244"/>
        <source>the extent lies outside of layer “{}”; choose one that meets it</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../sources.py" line="275"/>
        <source>layer “{}” comes from a server and has no pixels of its own; set Extent and Pixel size (in map units), which say what is to be fetched</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../sources.py" line="284"/>
        <source>the extent has {} x {} pixels of {:g} map units, and at most {:g} million may be fetched from a server; choose a smaller extent, or pixels of {:.3g} or more</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../sources.py" line="304"/>
        <source>cancelled; nothing was written</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../sources.py" line="322"/>
        <source>Exporting {} x {} pixels of layer “{}”</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../sources.py" line="340"/>
        <source>error {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../sources.py" line="341"/>
        <source>layer “{}” could not be exported ({}); check it, and the free disk space</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../sources.py" line="347"/>
        <source>layer “{}” showed nothing in the extent; check the connection, and whether the server has pictures there at this pixel size</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../sources.py" line="449"/>
        <source>polygons could not be written to {} ({}); check the free disk space</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tasks.py" line="91"/>
        <source>a few seconds left</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tasks.py" line="93"/>
        <source>about {} s left</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tasks.py" line="96"/>
        <source>about {} min left</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tasks.py" line="97"/>
        <source>about {} h {} min left</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tasks.py" line="140"/>
        <source>The Processing tools of geoseg are not loaded; enable the plugins Processing and geoseg, then restart QGIS.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tasks.py" line="155"/>
        <source>The run cannot begin; see the log.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="26"/>
        <source>More options</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="27"/>
        <source>Polygons of the classes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="30"/>
        <source>Map of confidence</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="31"/>
        <source>A second raster: how sure the model is of each pixel, from 0 to 1</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="35"/>
        <source> m²</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="35"/>
        <source>keep all</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="36"/>
        <source>Smaller regions go to their neighbours, on the map and in the polygons</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="39"/>
        <source> pixels</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="39"/>
        <source>off</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="41"/>
        <source>Fewer vertices: boundaries may move by as much. 1 takes the steps away</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="44"/>
        <source>by memory</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="46"/>
        <source>Side of the window that the network sees at once</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="47"/>
        <source>as the model needs</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="48"/>
        <source>How far the network looks beyond the pixels it decides</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="49"/>
        <source>Cut sharply (exact)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="49"/>
        <source>Fade over (Hann)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="49"/>
        <source>Average</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="56"/>
        <source>What becomes of windows where they overlap</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="57"/>
        <source>As it is (fastest)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="57"/>
        <source>Mirrored too (4 × slower)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="57"/>
        <source>Mirrored and turned (8 × slower)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="64"/>
        <source>More views of each place make a somewhat better map</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="65"/>
        <source>Automatic</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="65"/>
        <source>Processor</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="65"/>
        <source>Graphics card (CUDA)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="92"/>
        <source>Simplify polygons</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="93"/>
        <source>Smallest area</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="95"/>
        <source>How the network goes over the image</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="96"/>
        <source>Window</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="97"/>
        <source>Overlap</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="98"/>
        <source>Edges</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="99"/>
        <source>Views</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="100"/>
        <source>Compute on</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>geoseg</name>
    <message>
        <location filename="../algorithms/base.py" line="148"/>
        <source>{} is {}, which another program cannot write; choose a file, or a temporary one (TEMPORARY_OUTPUT)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/base.py" line="194"/>
        <source>cancelled; nothing was written</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>geoseg</name>
    <message>
        <location filename="../algorithms/evaluate.py" line="37"/>
        <source>Evaluate map</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/evaluate.py" line="41"/>
        <source>Scores a class map against labels: mIoU, accuracy, confusion matrix.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/evaluate.py" line="45"/>
        <source>accuracy,miou,iou,confusion matrix,kappa,validation,truth</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/evaluate.py" line="49"/>
        <source>&lt;p&gt;Compares a class map with labels of the same place, pixel by pixel.&lt;/p&gt;&lt;h3&gt;What it takes&lt;/h3&gt;&lt;p&gt;&lt;b&gt;Class map&lt;/b&gt;: from &lt;i&gt;Segment raster&lt;/i&gt;, or any raster of class values.&lt;br&gt;&lt;b&gt;Labels&lt;/b&gt;: a raster of the same class values on the same grid. What the labels leave open (no data) is not counted.&lt;br&gt;&lt;b&gt;Model&lt;/b&gt;: where class names are taken from, if the map does not hold them.&lt;/p&gt;&lt;h3&gt;What it gives&lt;/h3&gt;&lt;p&gt;A &lt;b&gt;report&lt;/b&gt; with scores of each class, the confusion matrix and a map of differences, shown in the results viewer, and the numbers &lt;b&gt;mIoU&lt;/b&gt; (mean of intersection over union) and &lt;b&gt;overall accuracy&lt;/b&gt;, both from 0 to 1.&lt;/p&gt;</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/evaluate.py" line="64"/>
        <source>Class map</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/evaluate.py" line="65"/>
        <source>Labels</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/evaluate.py" line="66"/>
        <source>Model (for class names)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/evaluate.py" line="67"/>
        <source>Folder of the report</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/evaluate.py" line="70"/>
        <source>Report</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/evaluate.py" line="71"/>
        <source>mIoU</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/evaluate.py" line="72"/>
        <source>Overall accuracy</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/evaluate.py" line="114"/>
        <source>{}: IoU {:.3f}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/evaluate.py" line="115"/>
        <source>mIoU {:.3f}, overall accuracy {:.3f} over {:,} pixels</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>geoseg</name>
    <message>
        <location filename="../algorithms/model_info.py" line="44"/>
        <source>Model information</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="48"/>
        <source>Tells which bands and pixels a model takes, and which classes it gives.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="52"/>
        <source>model,card,bands,classes,licence,metrics,training</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="56"/>
        <source>&lt;p&gt;Tells what a model takes, gives and is good for.&lt;/p&gt;&lt;h3&gt;What it takes&lt;/h3&gt;&lt;p&gt;&lt;b&gt;Model&lt;/b&gt;: the name of one that comes with geoseg, or a model file (.safetensors).&lt;/p&gt;&lt;h3&gt;What it gives&lt;/h3&gt;&lt;p&gt;A &lt;b&gt;page&lt;/b&gt; with bands, pixel size, values, classes and their colours, training data, scores and licence, shown in the results viewer, and the same as JSON.&lt;/p&gt;</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="68"/>
        <source>Model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="69"/>
        <source>Page</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="69"/>
        <source>Web page (*.html)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="74"/>
        <source>Model card as JSON</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="92"/>
        <source>{} cannot be written ({}); choose another file</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="105"/>
        <source>Scores</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="106"/>
        <source>Training</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="115"/>
        <source>Bands</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="117"/>
        <source>{:g} m</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="119"/>
        <source>; takes {:g} to {:g} m, resamples others</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="122"/>
        <source>Pixels</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="124"/>
        <source>mostly {:g} to {:g}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="125"/>
        <source>Values of {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="126"/>
        <source>Windows</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="126"/>
        <source>{} pixels</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>geoseg</name>
    <message>
        <location filename="../algorithms/polygonize.py" line="45"/>
        <source>Polygonize class map</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="49"/>
        <source>Makes polygons of the regions of a class map.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="53"/>
        <source>vectorize,polygons,contours,classes,simplify,sieve,buildings</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="57"/>
        <source>&lt;p&gt;Makes a polygon of every region of equal class. Neighbours share their boundaries, also when they are simplified: there are no gaps and no overlaps.&lt;/p&gt;&lt;h3&gt;What it takes&lt;/h3&gt;&lt;p&gt;&lt;b&gt;Class map&lt;/b&gt;: a raster of class values, from &lt;i&gt;Segment raster&lt;/i&gt; or of any other origin. Names and colours are taken from it.&lt;br&gt;&lt;b&gt;Smallest area&lt;/b&gt;: smaller regions go to their neighbours. &lt;b&gt;Simplify&lt;/b&gt;: boundaries may move by so many pixels.&lt;br&gt;&lt;b&gt;Only these classes&lt;/b&gt;: names or values, as in &lt;code&gt;building,road&lt;/code&gt;.&lt;br&gt;&lt;b&gt;Square corners&lt;/b&gt;: for buildings; name their class above. Polygons then do not fit together any more.&lt;br&gt;&lt;b&gt;Confidence&lt;/b&gt;: a raster on the same grid, averaged by polygon.&lt;/p&gt;&lt;h3&gt;What it gives&lt;/h3&gt;&lt;p&gt;&lt;b&gt;Polygons&lt;/b&gt; with class_id, class_name, area and perimeter, in the colours of the classes.&lt;/p&gt;</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="76"/>
        <source>Class map</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="77"/>
        <source>Band</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="80"/>
        <source>Smallest area of a region (square metres)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="80"/>
        <source>Simplify polygons by at most (pixels)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="86"/>
        <source>Only these classes (names or values)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="91"/>
        <source>Confidence, to be averaged by polygon</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="96"/>
        <source>Square corners, for buildings</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="101"/>
        <source>Pixels that touch at a corner only: apart (4) or one region (8)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="114"/>
        <source>Polygons of pixels without data, too</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="121"/>
        <source>Polygons</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="126"/>
        <source>Classes as JSON</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="164"/>
        <source>{}: polygons</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="173"/>
        <source>layer “{}” is set to {}, but its file says {}; set the layer back, or give the file that coordinate system with “Assign projection”</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>geoseg</name>
    <message>
        <location filename="../algorithms/segment.py" line="58"/>
        <source>Segment raster</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="62"/>
        <source>Classifies every pixel of an image and makes polygons of the classes.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="66"/>
        <source>classify,segmentation,land cover,deep learning,predict,polygons,satellite,aerial</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="72"/>
        <source>&lt;p&gt;Classifies every pixel of an image with a trained model. The class map and the polygons come with the model&apos;s colours and class names.&lt;/p&gt;&lt;h3&gt;What it takes&lt;/h3&gt;&lt;p&gt;&lt;b&gt;Image&lt;/b&gt;: a raster layer. Layers that only QGIS can read, such as web maps, are exported first; those need an extent and a pixel size.&lt;br&gt;&lt;b&gt;Model&lt;/b&gt;: the name of one that comes with geoseg, or a model file (.safetensors). &lt;i&gt;Model information&lt;/i&gt; tells which bands and pixel sizes it was made for.&lt;br&gt;&lt;b&gt;Bands&lt;/b&gt;: which bands of the image are the model&apos;s, in the model&apos;s order, by the file&apos;s own number or by name: &lt;code&gt;4,3,2&lt;/code&gt;. Empty: matched by name, or taken in order where the image has as many bands as the model and names none; bands that are marked as transparency are left out.&lt;br&gt;&lt;b&gt;Extent&lt;/b&gt;, &lt;b&gt;Mask polygons&lt;/b&gt;: only there; the rest is no data.&lt;br&gt;&lt;b&gt;Smallest area&lt;/b&gt;: smaller regions go to their neighbours. &lt;b&gt;Simplify&lt;/b&gt;: boundaries of polygons may move by so many pixels.&lt;/p&gt;&lt;h3&gt;What it gives&lt;/h3&gt;&lt;p&gt;&lt;b&gt;Class map&lt;/b&gt;: a GeoTIFF of class values. &lt;b&gt;Polygons&lt;/b&gt;: with class_id, class_name, area and perimeter. &lt;b&gt;Confidence&lt;/b&gt;: the probability of the class that was chosen.&lt;/p&gt;&lt;p&gt;A cancelled run goes on from where it was when it is started again with the same image, settings and output files; one to a temporary class map starts anew.&lt;/p&gt;</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="100"/>
        <source>Class map</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="101"/>
        <source>Polygons</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="110"/>
        <source>Confidence</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="115"/>
        <source>Classes as JSON</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="118"/>
        <source>Image</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="119"/>
        <source>Model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="120"/>
        <source>Bands, in the model&apos;s order (such as 4,3,2)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="127"/>
        <source>Extent</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="128"/>
        <source>Mask polygons</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="136"/>
        <source>Pixel size of exported layers (map units)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="141"/>
        <source>Smallest area of a region (square metres)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="142"/>
        <source>Simplify polygons by at most (pixels)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="152"/>
        <source>Side of a window (pixels; by memory where empty)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="152"/>
        <source>Context around a window (pixels; by the model where empty)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="168"/>
        <source>How windows are joined</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="168"/>
        <source>Mean of mirrored (flips) or turned (d4) windows</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="179"/>
        <source>Resample to metres a pixel (auto, native or a number)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="179"/>
        <source>Device (auto, cpu, cuda, cuda:0,cuda:1)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="179"/>
        <source>Memory (such as 4GB; half of what is free where empty)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="245"/>
        <source>cancelled; nothing is kept of a run to a temporary class map, choose a file to be able to go on with one</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="249"/>
        <source>cancelled; the same run with the same output file goes on from where it was</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="281"/>
        <source>Extent (EXTENT) holds nothing: it has no width or no height, or is that of an empty layer; choose another one, or leave it empty for the whole image</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="310"/>
        <source>Extent (EXTENT) cannot be told in {}, the coordinate system of layer “{}”; choose one that meets the layer</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="320"/>
        <source>the mask layer “{}” has no polygons, or none is selected; select some, or choose another layer</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="368"/>
        <source>{}: classes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="368"/>
        <source>{}: polygons</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="368"/>
        <source>{}: confidence</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>geoseg</name>
    <message>
        <location filename="../algorithms/train.py" line="53"/>
        <source>Train a model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="57"/>
        <source>Trains a model from an image layer and a layer of labels.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="61"/>
        <source>training,learn,unet,labels,deep learning,supervised</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="65"/>
        <source>&lt;p&gt;Trains a small U-Net that classifies images like the one it was shown. A part of the image is held out: the model never sees it, and is scored on it.&lt;/p&gt;&lt;h3&gt;What it takes&lt;/h3&gt;&lt;p&gt;&lt;b&gt;Image&lt;/b&gt;: a raster layer; all its bands but transparency, or those under Bands.&lt;br&gt;&lt;b&gt;Labels&lt;/b&gt;: a raster of class values on the image&apos;s grid, or polygons. Names and colours are those of the layer&apos;s style where it is paletted or categorised.&lt;br&gt;&lt;b&gt;Field&lt;/b&gt;: name of the polygons&apos; attribute that tells the class. Empty: the one by which the layer&apos;s style is categorised. Without such a style every polygon is of one class, and everything else is background.&lt;br&gt;&lt;b&gt;Steps&lt;/b&gt;: more learn better and take longer. 2000 steps need minutes on a graphics card, and an hour or more without one.&lt;br&gt;&lt;b&gt;Held out&lt;/b&gt;: the share of the image, at its eastern or northern end, that scores are computed on.&lt;/p&gt;&lt;h3&gt;What it gives&lt;/h3&gt;&lt;p&gt;A &lt;b&gt;model file&lt;/b&gt; for &lt;i&gt;Segment raster&lt;/i&gt;, a &lt;b&gt;report&lt;/b&gt; beside it with curves, scores and samples, and the &lt;b&gt;mIoU&lt;/b&gt; on the part that was held out.&lt;/p&gt;&lt;p&gt;A cancelled training goes on when it is started again with &lt;b&gt;Go on&lt;/b&gt; checked and the same model file.&lt;/p&gt;</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="91"/>
        <source>Model file</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="91"/>
        <source>Models (*.safetensors)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="96"/>
        <source>Report</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="97"/>
        <source>mIoU of the held-out part</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="98"/>
        <source>Classes as JSON</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="102"/>
        <source>Image</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="103"/>
        <source>Bands by number (such as 1,2,3; all where empty)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="108"/>
        <source>Labels</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="109"/>
        <source>Field of the polygons&apos; class (that of the layer&apos;s style where empty)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="117"/>
        <source>Where no polygon is, is background</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="126"/>
        <source>Steps</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="129"/>
        <source>Held out for scores (%)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="134"/>
        <source>Side of a window (pixels)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="141"/>
        <source>Windows a step</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="148"/>
        <source>Device (auto, cpu, cuda)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="155"/>
        <source>Go on with a training that was stopped</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="181"/>
        <source>the labels cannot be read; choose a raster or polygon layer</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="226"/>
        <source>cancelled; nothing is kept of a training to a temporary file, choose a model file to be able to go on with one</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="230"/>
        <source>cancelled; start it again with “Go on” and the same model file</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="243"/>
        <source>Classes: {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="274"/>
        <source>layer “{}” of labels has no polygons; draw some first</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="294"/>
        <source>layer “{}” of labels has no field {}; choose one of: {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="313"/>
        <source>Bands (BANDS) names {}, but layer “{}” has bands 1 to {}; give numbers</source>
        <translation type="unfinished"></translation>
    </message>
</context>
</TS>
